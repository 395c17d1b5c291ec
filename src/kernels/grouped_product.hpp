// Products with weights that are stored as integers in groups, each with a scale, while the left
// operand has 16 bits: integers by row where it has few rows, bf16 where it has many. Shapes were
// checked by the caller.
//
// A group is 32 numbers of a column that are neighbours along K. Its scale is what makes the one of
// largest magnitude -2^(bits - 1); the rest follow in steps of it. A panel is all its words, then
// all its scales:
//
//   int4                  column 0                              column 1        ...      width
//   k 0..7     [ 7 5 3 1 | 6 4 2 0 ]  (bits 31 to 0)       [ 7 5 3 1 | 6 4 2 0 ]
//   k 8..15    [         |         ]                       [         |         ]
//       ...
//   int8w        [   3     |    2    |    1    |    0    ]   as of int8
//       ...
//   scales     bf16 of group 0                              bf16 of group 0    ...      width
//       ...                                                                             and up to a
//       multiple of 64 bytes
//
// So 4 bits cost 4.5, and 8 bits 8.5. The halves of a word of int4 hold odd and even k: shifted, it
// has the numbers of two neighbours in its halves, where the left operand has them. What 16 bits
// for a scale lose is nothing beside 4 bits for a number: the error of normal weights is 0.0859 of
// their size with scales of bf16 as with those of f32.
#pragma once

#include "kernels/narrow_product.hpp"

namespace rae::detail {

inline constexpr index_t kGroup = 32;  // numbers that share a scale

constexpr bool is_grouped(DType stored) { return stored == DType::int4 || stored == DType::int8w; }

/// Bytes of a panel.
index_t grouped_panel_bytes(DType stored, index_t k, index_t width);

/// True when no scale of so many panels of the kernels in use, which may lie anywhere in memory, is
/// NaN or infinite.
bool grouped_scales_are_finite(std::span<const std::byte> bytes, DType stored, index_t k,
                               index_t panels);

/// Panels of b (K, N), as above: (panels, bytes). `stored`: DType::int4 or DType::int8w.
Tensor<std::uint8_t> pack_grouped(const View<const float>& b, const PanelMap& map, DType stored);

/// b stored as int4 or int8w.
void multiply_grouped(const LeftOperand& a, const PackedMatrix<float>& b, const View<float>& out,
                      const Epilogue& epilogue);

}  // namespace rae::detail
