// Products of f32 matrices that are rounded to bf16 or to integers. Shapes were checked by
// the caller.
#pragma once

#include "kernels/panel_loop.hpp"
#include "rae/kernels/gemm.hpp"

namespace rae::detail {

/// Panels [panels][ceil(K / 2)][width][2] of bf16.
Tensor<std::uint8_t> pack_bf16(const View<const float>& b, const PanelMap& map);

/// Panels [panels][ceil(K / 4)][width][4] of signed integers, with their scales and compensation.
struct Int8Panels {
  Tensor<std::uint8_t> panels;        // (panels, K / 4, width, 4)
  Tensor<float> scales;               // (panels * width), of the columns
  Tensor<std::int32_t> compensation;  // (panels * width), 128 x the sum of each column
};
Int8Panels pack_int8(const View<const float>& b, const PanelMap& map);

/// The largest magnitude of signed integers in bytes.
std::int32_t largest_int8(std::span<const std::uint8_t> bytes);

/// Halves the integers of all panels, rounded to nearest even, and doubles their scales.
void halve_int8(Int8Panels& panels);

/// The left operand a (M, K), and a norm of its rows as prologue, or null. With a norm, a is
/// contiguous.
struct LeftOperand {
  View<const float> a;  // (M, K)
  const NormInputs<float>* norm;
};

/// Rows of a left operand as 8-bit integers, with a scale for each row.
struct Int8Rows {
  Tensor<std::int32_t> words;  // (M, ceil(K / 4), padded) of four bytes with a +128 offset
  Tensor<float> scales;        // (M)
};
Int8Rows quantize_rows(const LeftOperand& a);
void multiply_int8(const Int8Rows& a, const PackedMatrix<float>& b, const View<float>& out,
                   const Epilogue& epilogue);

/// Rows of a left operand as 16-bit integers, with a scale for each row.
struct Int16Rows {
  Tensor<std::int32_t> words;  // (M, K / 2, padded)
  Tensor<float> scales;        // (M)
};

/// K is padded with zeros to a multiple of `multiple`, itself a multiple of 4. `deinterleaved`: of
/// four neighbours along K one word holds numbers 0 and 2 and the next 1 and 3, instead of 0 and 1,
/// then 2 and 3.
Int16Rows quantize_rows_to_int16(const LeftOperand& a, index_t multiple, bool deinterleaved);

/// A left operand as rows of words.
struct LeftWords {
  const std::uint32_t* data;
  index_t stride, k;  // words between rows, and along k
};

/// The rows of a as bf16, in `memory`, with K padded with zeros to a multiple of `multiple`, which
/// is even.
LeftWords convert_rows_to_bf16(const LeftOperand& a, index_t multiple,
                               Tensor<std::int32_t>& memory);

/// out (M, N) = epilogue(a (M, K) * b (K, N)) for b stored as bf16, int8, int8w or int4.
void multiply_narrow(const LeftOperand& a, const PackedMatrix<float>& b, const View<float>& out,
                     const Epilogue& epilogue);
void multiply_bf16(const View<const bf16>& a, const PackedMatrix<float>& b, const View<float>& out,
                   const Epilogue& epilogue);

/// The product of two unpacked operands, rounded to bf16 while they are packed.
void multiply_as_bf16(const View<const float>& a, const View<const float>& b,
                      const View<float>& out, const Epilogue& epilogue);

}  // namespace rae::detail
