// The encoders that the library itself registers.
#pragma once

#include "rae/core/owner.hpp"
#include "rae/spec/any_encoder.hpp"

namespace rae::detail {

/// The ViT families "dinov2", "siglip2" and "mae", with EncoderConfig.
[[nodiscard]] OwnedPointer<const EncoderKind> vit_encoder_kind();

}  // namespace rae::detail
