// Products of f32 matrices whose right operand is stored as bf16 or as 8-bit integers. Shapes were checked by the caller.
#pragma once

#include "rae/kernels/gemm.hpp"

namespace rae::detail {

/// Panels [ceil(N / width)][ceil(K / 2)][width][2] of bf16.
Tensor<std::uint8_t> pack_bf16(const View<const float>& b);

/// Panels [ceil(N / width)][ceil(K / 4)][width][4] of signed integers. Both vectors are as long as all panels are wide.
struct Int8Panels {
  Tensor<std::uint8_t> panels;
  Tensor<float> scales;               // (N), what a unit of a column means
  Tensor<std::int32_t> compensation;  // (N), 128 times the sum of a column
};
Int8Panels pack_int8(const View<const float>& b);

void multiply_bf16(const View<const float>& a, const std::uint8_t* panels, const View<float>& out, const Epilogue& epilogue);
void multiply_bf16(const View<const bf16>& a, const std::uint8_t* panels, const View<float>& out, const Epilogue& epilogue);
void multiply_int8(const View<const float>& a, const std::uint8_t* panels, const float* scales, const std::int32_t* compensation,
                   const View<float>& out, const Epilogue& epilogue);

}  // namespace rae::detail
