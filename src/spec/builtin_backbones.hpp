// The diffusion networks that the library itself registers.
#pragma once

#include <memory>

#include "rae/core/owner.hpp"
#include "rae/spec/backbone.hpp"

namespace rae::detail {

/// DiT^DH, "dit".
[[nodiscard]] OwnedPointer<const BackboneKind> dit_dh_kind();
/// LightningDiT, "lightning_dit".
[[nodiscard]] OwnedPointer<const BackboneKind> lightning_dit_kind();

}  // namespace rae::detail
