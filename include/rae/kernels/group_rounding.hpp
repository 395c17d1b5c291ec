// The weights that products with a matrix of int8w or int4 use, as f32 numbers: for training with
// the errors of these types.
//
// Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
// Integer-Arithmetic-Only Inference", section 3 (simulated quantisation).
#pragma once

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// True for the types of weights that `round_to_groups` knows: int8w and int4.
[[nodiscard]] constexpr bool has_groups(DType stored) noexcept {
  return stored == DType::int8w || stored == DType::int4;
}

/// out (N, K): the weights w (N, K) of a linear layer as PackedMatrix stores them with this type:
/// each group of 32 neighbours of a row as integers times a scale in bf16. The products are exact
/// in f32, so that packing `out` gives the same bytes as packing w. A group that holds an infinity
/// or a NaN becomes NaN. `out` may be w. Both are contiguous. Throws ShapeError, and ArgumentError
/// for a type without groups.
void round_to_groups(View<const float> w, View<float> out, DType stored);

}  // namespace rae
