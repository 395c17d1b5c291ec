// Products of f32 matrices that are rounded to bf16 or to 8-bit integers. Shapes were checked by
// the caller.
#pragma once

#include "kernels/panel_loop.hpp"
#include "rae/kernels/gemm.hpp"

namespace rae::detail {

/// Panels [panels][ceil(K / 2)][width][2] of bf16.
Tensor<std::uint8_t> pack_bf16(const View<const float>& b, const PanelMap& map);

/// Panels [panels][ceil(K / 4)][width][4] of signed integers. Both vectors are as long as all
/// panels are wide.
struct Int8Panels {
  Tensor<std::uint8_t> panels;
  Tensor<float> scales;               // (panels * width), what a unit of a column means
  Tensor<std::int32_t> compensation;  // (panels * width), 128 times the sum of a column
};
Int8Panels pack_int8(const View<const float>& b, const PanelMap& map);

/// The left operand: a (M, K), and the norm that its rows still need, or null. A matrix under a
/// norm is contiguous.
struct LeftOperand {
  View<const float> a;
  const NormInputs<float>* norm;
};

/// Rows of a left operand in 8 bits, each by its own largest element.
struct Int8Rows {
  Tensor<std::int32_t>
      words;             // (M, ceil(K / 4), padded) of four bytes, each 128 more than it means
  Tensor<float> scales;  // (M), what a unit of a row means
};
Int8Rows quantize_rows(const LeftOperand& a);
void multiply_int8(const Int8Rows& a, const PackedMatrix<float>& b, const View<float>& out,
                   const Epilogue& epilogue);

/// Rows of a left operand in 16 bits, each by its own largest element.
struct Int16Rows {
  Tensor<std::int32_t> words;  // (M, K / 2, padded)
  Tensor<float> scales;        // (M), what a unit of a row means
};

/// With zeros behind the ends of rows up to a multiple of `multiple`, which is one of 4. `apart`:
/// of four neighbours along K one word holds numbers 0 and 2, and the next 1 and 3, instead of 0
/// and 1, 2 and 3.
Int16Rows quantize_rows_to_int16(const LeftOperand& a, index_t multiple, bool apart);

/// A left operand as rows of words.
struct LeftWords {
  const std::uint32_t* data;
  index_t stride, k;  // of rows; along k
};

/// The rows of a as bf16, in `memory`, with zeros behind their ends up to a multiple of `multiple`,
/// which is even.
LeftWords convert_rows_to_bf16(const LeftOperand& a, index_t multiple,
                               Tensor<std::int32_t>& memory);

/// b stored as bf16, int8 or in groups.
void multiply_narrow(const LeftOperand& a, const PackedMatrix<float>& b, const View<float>& out,
                     const Epilogue& epilogue);
void multiply_bf16(const View<const bf16>& a, const PackedMatrix<float>& b, const View<float>& out,
                   const Epilogue& epilogue);

/// Both operands as they lie in memory, rounded to bf16 while they are packed.
void multiply_as_bf16(const View<const float>& a, const View<const float>& b,
                      const View<float>& out, const Epilogue& epilogue);

}  // namespace rae::detail
