// Operations of the heads of a discriminator: windows on a circle, weights divided by their
// spectral norm, logits side by side.
//
// Miyato et al., "Spectral Normalization for Generative Adversarial Networks" (2018), equations 8
// and 12; torch.nn.utils.spectral_norm.
#pragma once

#include "rae/ops/linear.hpp"

namespace rae {

namespace detail {
/// Calls body(row of (B, L), channel, tap, position on the circle) for every element of the windows
/// of k neighbours.
template <class Body>
void for_windows(index_t rows, index_t channels, index_t length, index_t k, Body body) {
  for (index_t row = 0; row < rows; ++row)
    for (index_t c = 0; c < channels; ++c)
      for (index_t j = 0; j < k; ++j)
        body(row, c, j, (row % length + j - (k - 1) / 2 + length) % length);
}
}  // namespace detail

/// The k neighbours of each position of a circle: (B, C, L) -> (B, L, C*k), taps fastest, for odd k
/// <= 2L + 1. A linear layer on them is torch.nn.Conv1d with circular padding. Throws ShapeError.
template <Real T>
Tensor<T> circular_windows(const Tensor<T>& x, index_t k) {
  const Shape s = x.shape();
  if (s.rank() != 3 || s.numel() == 0 || k < 1 || k % 2 == 0 || k / 2 > s[2])
    raise<ShapeError>("circular_windows: expected (B, C, L) and an odd k <= 2L + 1, got ", s,
                      " and ", k);
  Tensor<T> out(Shape{s[0], s[2], s[1] * k});
  T* target = out.data();
  const T* source = x.data();
  detail::for_windows(
      s[0] * s[2], s[1], s[2], k, [&](index_t row, index_t c, index_t j, index_t at) {
        target[(row * s[1] + c) * k + j] = source[(row / s[2] * s[1] + c) * s[2] + at];
      });
  return out;
}
template <Real T>
Var<T> circular_windows(const Var<T>& x, index_t k) {
  return detail::make_result<T>(
      circular_windows(x.value(), k),
      [x, k](const Tensor<T>& g) {
        const Shape s = x.shape();
        Tensor<T> dx = Tensor<T>::zeros(s);
        T* target = dx.data();
        detail::for_windows(
            s[0] * s[2], s[1], s[2], k, [&](index_t row, index_t c, index_t j, index_t at) {
              target[(row / s[2] * s[1] + c) * s[2] + at] += g[(row * s[1] + c) * k + j];
            });
        x.accumulate(std::move(dx));
      },
      x);
}

namespace detail {
/// u^T W v, in double.
template <Real T>
double spectral_norm(const Tensor<T>& weight, const Tensor<T>& u, const Tensor<T>& v) {
  const index_t rows = weight.extent(0), columns = weight.numel() / rows;
  require_shape("spectral_normalize: u", u.shape(), {rows});
  require_shape("spectral_normalize: v", v.shape(), {columns});
  double sigma = 0;
  for (index_t r = 0; r < rows; ++r) {
    double product = 0;
    for (index_t c = 0; c < columns; ++c)
      product += static_cast<double>(weight[r * columns + c]) * static_cast<double>(v[c]);
    sigma += static_cast<double>(u[r]) * product;
  }
  return sigma;
}
}  // namespace detail

/// weight (O, ...) read as a matrix (O, K), divided by its spectral norm's estimate u^T W v, for
/// constant u (O) and v (K): the matrix (O, K). Throws ShapeError.
template <Real T>
Tensor<T> spectral_normalize(const Tensor<T>& weight, const Tensor<T>& u, const Tensor<T>& v) {
  const auto sigma = static_cast<T>(detail::spectral_norm(weight, u, v));
  Tensor<T> out(Shape{weight.extent(0), weight.numel() / weight.extent(0)});
  T* target = out.data();
  for (index_t i = 0; i < weight.numel(); ++i) target[i] = weight[i] / sigma;
  return out;
}
template <Real T>
Var<T> spectral_normalize(const Var<T>& weight, const Tensor<T>& u, const Tensor<T>& v) {
  return detail::make_result<T>(
      spectral_normalize(weight.value(), u, v),
      [weight, u, v](const Tensor<T>& g) {
        const double sigma = detail::spectral_norm(weight.value(), u, v);
        double product = 0;  // <g, W>
        for (index_t i = 0; i < g.numel(); ++i)
          product += static_cast<double>(g[i]) * static_cast<double>(weight.value()[i]);
        const index_t columns = g.extent(1);
        Tensor<T> dw(weight.shape());
        T* target = dw.data();
        for (index_t i = 0; i < g.numel(); ++i)
          target[i] = static_cast<T>(
              (static_cast<double>(g[i]) - product / sigma * static_cast<double>(u[i / columns]) *
                                               static_cast<double>(v[i % columns])) /
              sigma);
        weight.accumulate(std::move(dw));
      },
      weight);
}

/// (B, M) and (B, N) side by side: (B, M + N). Throws ShapeError.
template <Real T>
Tensor<T> join_columns(const Tensor<T>& a, const Tensor<T>& b) {
  if (a.shape().rank() != 2 || b.shape().rank() != 2 || a.extent(0) != b.extent(0))
    raise<ShapeError>("join_columns: expected (B, M) and (B, N), got ", a.shape(), " and ",
                      b.shape());
  const index_t m = a.extent(1), n = b.extent(1);
  Tensor<T> out(Shape{a.extent(0), m + n});
  T* target = out.data();
  for (index_t r = 0; r < a.extent(0); ++r) {
    std::copy_n(a.data() + r * m, m, target + r * (m + n));
    std::copy_n(b.data() + r * n, n, target + r * (m + n) + m);
  }
  return out;
}
template <Real T>
Var<T> join_columns(const Var<T>& a, const Var<T>& b) {
  return detail::make_result<T>(
      join_columns(a.value(), b.value()),
      [a, b](const Tensor<T>& g) {
        const index_t m = a.extent(1), n = b.extent(1);
        Tensor<T> da(a.shape()), db(b.shape());
        T *left = da.data(), *right = db.data();
        for (index_t r = 0; r < g.extent(0); ++r) {
          std::copy_n(g.data() + r * (m + n), m, left + r * m);
          std::copy_n(g.data() + r * (m + n) + m, n, right + r * n);
        }
        a.accumulate(std::move(da));
        b.accumulate(std::move(db));
      },
      a, b);
}

}  // namespace rae
