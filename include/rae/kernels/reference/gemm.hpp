// GEMM as three plain loops, in each type of element: the oracle of the tests.
#pragma once

#include <vector>

#include "rae/core/dtype.hpp"
#include "rae/core/math.hpp"
#include "rae/core/view.hpp"

namespace rae::reference {

/// out (M, N) = a (M, K) * b (K, N), summed in double.
template <class T>
void gemm(View<const T> a, View<const T> b, View<T> out) {
  for (index_t i = 0; i < a.extent(0); ++i)
    for (index_t j = 0; j < b.extent(1); ++j) {
      double sum = 0;
      for (index_t k = 0; k < a.extent(1); ++k)
        sum += static_cast<double>(a(i, k)) * static_cast<double>(b(k, j));
      out(i, j) = static_cast<T>(sum);
    }
}

/// The same of both operands rounded to bf16. Products are exact in f32; sums are rounded after
/// each, the second of a pair first.
inline void gemm_bf16(View<const float> a, View<const float> b, View<float> out) {
  const index_t depth = a.extent(1);
  for (index_t i = 0; i < a.extent(0); ++i)
    for (index_t j = 0; j < b.extent(1); ++j) {
      float sum = 0;
      for (index_t k = 0; k < depth; k += 2)
        for (const index_t p : {k + 1, k})
          if (p < depth)
            sum += static_cast<float>(bf16(a(i, p))) * static_cast<float>(bf16(b(p, j)));
      out(i, j) = sum;
    }
}

/// Integers and their scale: x = values * unit.
struct Quantized {
  std::vector<int> values;
  float unit;
};

/// A vector in `most` steps of its largest magnitude, rounded to nearest even: a row of a, or a
/// column of b. All elements must be finite.
inline Quantized quantize(View<const float> x, float most = 127.0f) {
  float largest = 0;
  for (index_t i = 0; i < x.extent(0); ++i) largest = math::max(largest, math::fabs(x(i)));
  const float factor = largest < 1e-30f ? 0.0f : most / largest;
  Quantized out{{}, largest < 1e-30f ? 0.0f : largest / most};
  for (index_t i = 0; i < x.extent(0); ++i)
    out.values.push_back(static_cast<int>(math::nearbyint(x(i) * factor)));
  return out;
}

/// The same of the rows of a in `most_a` steps and the columns of b in `most_b`, with exact sums.
inline void gemm_int8(View<const float> a, View<const float> b, View<float> out,
                      float most_a = 127.0f, float most_b = 127.0f) {
  const index_t depth = a.extent(1);
  for (index_t i = 0; i < a.extent(0); ++i) {
    const Quantized row = quantize({a.data() + i * a.stride(0), {depth}, {a.stride(1)}}, most_a);
    for (index_t j = 0; j < b.extent(1); ++j) {
      const Quantized column =
          quantize({b.data() + j * b.stride(1), {depth}, {b.stride(0)}}, most_b);
      int sum = 0;
      for (std::size_t k = 0; k < row.values.size(); ++k) sum += row.values[k] * column.values[k];
      out(i, j) = static_cast<float>(sum) * (row.unit * column.unit);
    }
  }
}

/// At most 32 numbers as integers of `bits` bits and their scale `unit`: the one of largest
/// magnitude becomes -2^(bits - 1), the unit is rounded to bf16, and the others are rounded to
/// nearest even and cut off at 2^(bits - 1) - 1.
inline Quantized quantize_group(View<const float> x, int bits) {
  const auto limit = static_cast<float>(1 << (bits - 1));
  float largest = 0;
  for (index_t i = 0; i < x.extent(0); ++i)
    if (math::fabs(x(i)) > math::fabs(largest)) largest = x(i);
  Quantized out{{},
                math::fabs(largest) < 1e-30f ? 0.0f : static_cast<float>(bf16(largest / -limit))};
  for (index_t i = 0; i < x.extent(0); ++i)
    out.values.push_back(out.unit == 0 ? 0
                                       : static_cast<int>(math::clamp(
                                             math::nearbyint(x(i) / out.unit), -limit, limit - 1)));
  return out;
}

inline constexpr index_t kGroupSize = 32;

/// out (M, N) = a (M, K) * b (K, N) with b as integers of `bits` bits in groups of 32 along K. Rows
/// of a are rounded to 32767 steps of their largest element. Sums of a group are exact; each is
/// multiplied by the scale of the group and rounded, then added to the total, which is rounded,
/// too.
inline void gemm_groups(View<const float> a, View<const float> b, View<float> out, int bits) {
  const index_t depth = a.extent(1);
  std::vector<Quantized> rows;
  for (index_t i = 0; i < a.extent(0); ++i)
    rows.push_back(quantize({a.data() + i * a.stride(0), {depth}, {a.stride(1)}}, 32767.0f));
  for (index_t j = 0; j < b.extent(1); ++j) {
    for (index_t i = 0; i < a.extent(0); ++i) out(i, j) = 0;
    for (index_t first = 0; first < depth; first += kGroupSize) {
      const index_t count = math::min(kGroupSize, depth - first);
      const Quantized group = quantize_group(
          {b.data() + first * b.stride(0) + j * b.stride(1), {count}, {b.stride(0)}}, bits);
      for (index_t i = 0; i < a.extent(0); ++i) {
        int sum = 0;
        for (index_t p = 0; p < count; ++p)
          sum += rows[static_cast<std::size_t>(i)].values[static_cast<std::size_t>(first + p)] *
                 group.values[static_cast<std::size_t>(p)];
        const float scaled = static_cast<float>(sum) * group.unit;
        out(i, j) += scaled;
      }
    }
  }
  for (index_t i = 0; i < a.extent(0); ++i)
    for (index_t j = 0; j < b.extent(1); ++j) out(i, j) *= rows[static_cast<std::size_t>(i)].unit;
}

/// The same with a and each integer of b times its scale rounded to bf16, multiplied as `gemm_bf16`
/// does: the kernels of AMX.
inline void gemm_groups_as_bf16(View<const float> a, View<const float> b, View<float> out,
                                int bits) {
  const index_t depth = b.extent(0), n = b.extent(1);
  std::vector<float> dequantized(static_cast<std::size_t>(depth * n));  // (K, N)
  for (index_t j = 0; j < n; ++j)
    for (index_t first = 0; first < depth; first += kGroupSize) {
      const index_t count = math::min(kGroupSize, depth - first);
      const Quantized group = quantize_group(
          {b.data() + first * b.stride(0) + j * b.stride(1), {count}, {b.stride(0)}}, bits);
      for (index_t p = 0; p < count; ++p)
        dequantized[static_cast<std::size_t>((first + p) * n + j)] =
            static_cast<float>(group.values[static_cast<std::size_t>(p)]) * group.unit;
    }
  gemm_bf16(a, {dequantized.data(), {depth, n}}, out);
}

}  // namespace rae::reference
