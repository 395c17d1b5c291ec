// Latents in safetensors files, checked before they are used.
#pragma once

#include <string>
#include <vector>

#include "rae/core/tensor.hpp"

namespace rae::tool {

/// Reads the first of `names` that the file has: latents (B, C, h, w) of `sample` (C, h, w). Throws
/// FileError, FormatError for a missing tensor, ShapeError for another shape, NumericError for NaN
/// or infinity; all name file and tensor.
[[nodiscard]] Tensor<float> read_latents(const std::string& path,
                                         const std::vector<std::string>& names,
                                         const Shape& sample);

/// Samples [first, first + count) of a batch (B, ...).
[[nodiscard]] Tensor<float> take_samples(const Tensor<float>& batch, index_t first, index_t count);

}  // namespace rae::tool
