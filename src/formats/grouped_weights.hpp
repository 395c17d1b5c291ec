// Weight matrices that a bundle stores as 8-bit integers with a scale for each group of 32
// neighbours of a row, in half of the bytes of bf16. Unlike those of a packed bundle, they are the
// same for all machines, and every reader of bundles sees a matrix of f32.
//
// A weight NAME (N, K) is stored as these tensors instead of its elements:
//
// | tensor     | type | shape             |
// |------------|------|-------------------|
// | NAME.int8  | I8   | (N, K)            |
// | NAME.scale | BF16 | (N, ceil(K / 32)) |
//
// Element (n, k) is NAME.int8[n, k] * NAME.scale[n, k / 32], which is exact in f32. The integers
// are those of `round_to_groups` with int8w, so a model that is loaded as int8w has the same bits
// as if its weights had been stored in f32.
#pragma once

#include <string>
#include <vector>

#include "rae/io/safetensors_writer.hpp"
#include "rae/io/tensor_source.hpp"

namespace rae::detail {

/// The slots of a weight NAME (N, K) in a file.
[[nodiscard]] std::vector<SafetensorsSlot> grouped_slots(const std::string& name,
                                                         const Shape& shape);

/// Writes the tensors of `grouped_slots` of a weight (N, K).
void write_grouped(SafetensorsWriter& writer, const Tensor<float>& weight);

/// True for a tensor NAME.scale of `tensors` that belongs to a weight.
[[nodiscard]] bool is_group_scale(const TensorSource& tensors, const std::string& name);

/// The same tensors with the weights NAME as f32 in memory in place of the tensors that store them.
/// Throws FormatError for other types, shapes or missing scales, NaN and infinity.
[[nodiscard]] TensorSource with_whole_weights(const TensorSource& tensors);

}  // namespace rae::detail
