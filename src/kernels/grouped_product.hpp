// Products with weights that are stored as integers in groups with a scale each, while the left
// operand is rounded to 16-bit integers with a scale for each row (on AMX: both to bf16). Shapes
// were checked by the caller.
//
// A group is 32 numbers of a column that are neighbours along K. Its scale is chosen so that the
// number of largest magnitude becomes -2^(bits - 1); the others are rounded to multiples of it. A
// panel is all its words, then all its scales, padded to a multiple of 64 bytes:
//
//   int4                  column 0                              column 1        ...      width
//   k 0..7     [ 7 5 3 1 | 6 4 2 0 ]  (bits 31 to 0)       [ 7 5 3 1 | 6 4 2 0 ]
//   k 8..15    [         |         ]                       [         |         ]
//       ...
//   int8w        [   3     |    2    |    1    |    0    ]   as int8
//       ...
//   scales     bf16 of group 0                              bf16 of group 0    ...      width
//       ...
//
// So 4 bits take 4.5 bits with their share of a scale, and 8 bits 8.5. The halves of a word of int4
// hold odd and even k, so that a shift brings two neighbours along k into the halves, as in the
// left operand. Rounding scales to 16 bits loses nothing compared with 4 bits for a number: the
// relative error of normal weights is 0.0859 with scales of bf16 as with those of f32.
#pragma once

#include "kernels/narrow_product.hpp"
#include "rae/kernels/group_rounding.hpp"

namespace rae::detail {

inline constexpr index_t kGroupSize = 32;  // numbers that share a scale

/// Bits of an integer of a type with groups.
constexpr index_t bits_of_groups(DType stored) { return stored == DType::int4 ? 4 : 8; }

/// Quantizes a group of n <= 32 numbers that are `stride` apart: writes their integers, padded with
/// zeros, and returns the scale, a bf16.
float quantize_group(const float* x, index_t stride, index_t n, index_t bits,
                     std::int32_t (&out)[kGroupSize]);

/// Bytes of a panel of `width` columns of K rows.
index_t grouped_panel_bytes(DType stored, index_t k, index_t width);

/// True when no scale of `panels` panels for the kernels in use is NaN or infinite. The bytes may
/// have any alignment.
bool grouped_scales_are_finite(std::span<const std::byte> bytes, DType stored, index_t k,
                               index_t panels);

/// Panels of b (K, N), as above: (panels, bytes). `stored`: DType::int4 or DType::int8w.
Tensor<std::uint8_t> pack_grouped(const View<const float>& b, const PanelMap& map, DType stored);

/// out (M, N) = epilogue(a (M, K) * b (K, N)) for b stored as int4 or int8w.
void multiply_grouped(const LeftOperand& a, const PackedMatrix<float>& b, const View<float>& out,
                      const Epilogue& epilogue);

}  // namespace rae::detail
