// GEMM as three plain loops, in each type of element: the oracle of the tests.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae::reference {

/// out (M, N) = a (M, K) * b (K, N), summed in double.
template <class T>
void gemm(View<const T> a, View<const T> b, View<T> out) {
  for (index_t i = 0; i < a.extent(0); ++i)
    for (index_t j = 0; j < b.extent(1); ++j) {
      double sum = 0;
      for (index_t k = 0; k < a.extent(1); ++k) sum += static_cast<double>(a(i, k)) * static_cast<double>(b(k, j));
      out(i, j) = static_cast<T>(sum);
    }
}

/// The same of both operands rounded to bf16. Products are exact in f32; sums are rounded after each, the second of a pair first.
inline void gemm_bf16(View<const float> a, View<const float> b, View<float> out) {
  const index_t depth = a.extent(1);
  for (index_t i = 0; i < a.extent(0); ++i)
    for (index_t j = 0; j < b.extent(1); ++j) {
      float sum = 0;
      for (index_t k = 0; k < depth; k += 2)
        for (const index_t p : {k + 1, k})
          if (p < depth) sum += static_cast<float>(bf16(a(i, p))) * static_cast<float>(bf16(b(p, j)));
      out(i, j) = sum;
    }
}

/// Integers of at most 127 and what their unit means: x = values * unit.
struct Quantized {
  std::vector<int> values;
  float unit;
};

/// A vector in 127 steps of its largest magnitude, rounded to nearest even: a row of a, or a column of b. All elements must be finite.
inline Quantized quantize(View<const float> x) {
  float largest = 0;
  for (index_t i = 0; i < x.extent(0); ++i) largest = std::max(largest, std::abs(x(i)));
  const float factor = largest < 1e-30f ? 0.0f : 127.0f / largest;
  Quantized out{{}, largest < 1e-30f ? 0.0f : largest / 127.0f};
  for (index_t i = 0; i < x.extent(0); ++i) out.values.push_back(static_cast<int>(std::nearbyint(x(i) * factor)));
  return out;
}

/// The same of the rows of a and the columns of b in 8 bits, with exact sums.
inline void gemm_int8(View<const float> a, View<const float> b, View<float> out) {
  const index_t depth = a.extent(1);
  for (index_t i = 0; i < a.extent(0); ++i) {
    const Quantized row = quantize({a.data() + i * a.stride(0), {depth}, {a.stride(1)}});
    for (index_t j = 0; j < b.extent(1); ++j) {
      const Quantized column = quantize({b.data() + j * b.stride(1), {depth}, {b.stride(0)}});
      int sum = 0;
      for (std::size_t k = 0; k < row.values.size(); ++k) sum += row.values[k] * column.values[k];
      out(i, j) = static_cast<float>(sum) * (row.unit * column.unit);
    }
  }
}

}  // namespace rae::reference
