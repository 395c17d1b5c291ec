// A tiny model for the reduced versions of experiments on finished models.
#pragma once

#include <optional>

#include "rae/formats/bundle.hpp"
#include "rae/io/dataset.hpp"

namespace rae::experiments {

/// A model that is trained in a moment: a random encoder of 4 x 4 tokens, a decoder, and a DiT^DH
/// with a null class. Its samples show little, but they depend on everything that the samples of a
/// real model depend on. With `quantize`, int8w or int4, the DiT^DH is trained for that type.
/// `train` has square pictures of three channels whose side 4 divides. Throws as the trainers.
[[nodiscard]] Bundle tiny_model(const OwnedPointer<const ImageDataset>& train,
                                std::optional<DType> quantize = {});

}  // namespace rae::experiments
