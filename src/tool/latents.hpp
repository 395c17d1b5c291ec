// Reads latents from safetensors files and checks them.
#pragma once

#include <string>
#include <vector>

#include "rae/core/tensor.hpp"

namespace rae::tool {

/// Reads latents (B, C, h, w) from the first of the tensors `names` that the file contains;
/// `sample` is the expected shape (C, h, w). Throws FileError, FormatError for a missing tensor,
/// ShapeError for another shape, NumericError for NaN or infinity; the messages name file and
/// tensor.
[[nodiscard]] Tensor<float> read_latents(const std::string& path,
                                         const std::vector<std::string>& names,
                                         const Shape& sample);

/// A copy of the samples [first, first + count) of a batch (B, ...), in [0, B).
[[nodiscard]] Tensor<float> take_samples(const Tensor<float>& batch, index_t first, index_t count);

}  // namespace rae::tool
