// Rows of a table by index, and Fourier features of a time, for Tensor (inference) and for Var
// (recorded, with a gradient).
//
// Tancik et al. 2020, "Fourier Features Let Networks Learn High Frequency Functions in Low
// Dimensional Domains", section 5.
#pragma once

#include <cstdint>
#include <numbers>
#include <span>
#include <vector>

#include "rae/autograd/var.hpp"
#include "rae/core/math.hpp"
#include "rae/kernels/embedding.hpp"

namespace rae {

/// Rows `ids` (N), each in [0, V), of a table (V, D): (N, D). Throws ArgumentError for an index out
/// of range.
template <Real T>
Tensor<T> embedding(const Tensor<T>& table, std::span<const std::int64_t> ids) {
  Tensor<T> out(Shape{static_cast<index_t>(ids.size()), table.extent(1)});  // (N, D)
  embedding<T>(table, ids, out);
  return out;
}
/// The same, recorded: the gradient goes to the rows of the table that were read.
template <Real T>
Var<T> embedding(const Var<T>& table, std::span<const std::int64_t> ids) {
  return detail::make_result<T>(
      embedding(table.value(), ids),
      [table, kept = std::vector<std::int64_t>(ids.begin(), ids.end())](const Tensor<T>& g) {
        embedding_backward<T>(g, kept, table.mutable_grad());
      },
      table);
}

/// [sin(2 pi t w), cos(2 pi t w)], (B, 2F), for times t (B) and frequencies w (F) in periods per
/// unit of time.
template <Real T>
Tensor<T> fourier_features(const Tensor<T>& t, const Tensor<T>& w) {
  const index_t b = t.numel(), f = w.numel();
  Tensor<T> out(Shape{b, 2 * f});  // (B, 2F)
  T* target = out.data();
  for (index_t i = 0; i < b; ++i)
    for (index_t j = 0; j < f; ++j) {
      // The factors are multiplied in the order of the official code, because the rounding of the
      // angle is visible at large frequencies.
      const T angle = t[i] * w[j] * T(2) * static_cast<T>(std::numbers::pi);
      target[2 * i * f + j] = math::sin(angle);
      target[(2 * i + 1) * f + j] = math::cos(angle);
    }
  return out;
}
/// The same, recorded: the gradient goes to the frequencies only; t is constant.
template <Real T>
Var<T> fourier_features(const Tensor<T>& t, const Var<T>& w) {
  Tensor<T> features = fourier_features(t, w.value());  // (B, 2F)
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
