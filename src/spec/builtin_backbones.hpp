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

/// LightningDiT with condition tokens, "token_dit".
[[nodiscard]] OwnedPointer<const BackboneKind> token_dit_kind();
/// DiT^DH with condition tokens, "token_dit_dh".
[[nodiscard]] OwnedPointer<const BackboneKind> token_dit_dh_kind();

}  // namespace rae::detail
