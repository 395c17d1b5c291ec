// Rows of a table, and Fourier features of a time.
#pragma once

#include <cstdint>
#include <numbers>
#include <span>
#include <vector>

#include "rae/autograd/var.hpp"
#include "rae/core/math.hpp"
#include "rae/kernels/embedding.hpp"

namespace rae {

/// Rows `ids` of a table (V, D): (N, D).
template <Real T>
Tensor<T> embedding(const Tensor<T>& table, std::span<const std::int64_t> ids) {
  Tensor<T> out(Shape{static_cast<index_t>(ids.size()), table.extent(1)});
  embedding<T>(table, ids, out);
  return out;
}
template <Real T>
Var<T> embedding(const Var<T>& table, std::span<const std::int64_t> ids) {
  return detail::make_result<T>(
      embedding(table.value(), ids),
      [table, kept = std::vector<std::int64_t>(ids.begin(), ids.end())](const Tensor<T>& g) {
        embedding_backward<T>(g, kept, table.mutable_grad());
      },
      table);
}

/// [sin(2 pi t w), cos(2 pi t w)] (B, 2F) for times t (B) and frequencies w (F).
template <Real T>
Tensor<T> fourier_features(const Tensor<T>& t, const Tensor<T>& w) {
  const index_t b = t.numel(), f = w.numel();
  Tensor<T> out(Shape{b, 2 * f});
  T* target = out.data();
  for (index_t i = 0; i < b; ++i)
    for (index_t j = 0; j < f; ++j) {
      // In the order of the official code, whose float rounding of the angle is visible at large
      // frequencies.
      const T angle = t[i] * w[j] * T(2) * static_cast<T>(std::numbers::pi);
      target[2 * i * f + j] = math::sin(angle);
      target[(2 * i + 1) * f + j] = math::cos(angle);
    }
  return out;
}
template <Real T>
Var<T> fourier_features(const Tensor<T>& t, const Var<T>& w) {
  Tensor<T> features = fourier_features(t, w.value());
  return detail::make_result<T>(
      features,
      [t, w, features](const Tensor<T>& g) {
        const index_t f = w.value().numel();
        T* dw = w.mutable_grad().data();
        for (index_t i = 0; i < t.numel(); ++i)
          for (index_t j = 0; j < f; ++j)
            dw[j] += T(2) * static_cast<T>(std::numbers::pi) * t[i] *
                     (g[2 * i * f + j] * features[(2 * i + 1) * f + j] -
                      g[(2 * i + 1) * f + j] * features[2 * i * f + j]);
      },
      w);
}

}  // namespace rae
