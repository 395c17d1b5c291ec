// Pointwise, shape and lookup operations of the model text, on Tensor (runs) and on Var (runs and
// records).
#pragma once

#include <numbers>
#include <span>

#include "rae/autograd/var.hpp"
#include "rae/kernels/activation.hpp"
#include "rae/kernels/embedding.hpp"
#include "rae/kernels/patch.hpp"
#include "rae/kernels/softmax.hpp"

namespace rae {

/// f(x), element by element.
template <Real T>
Tensor<T> activate(const Tensor<T>& x, Activation f) {
  Tensor<T> out(x.shape());
  activate<T>(f, x, out);
  return out;
}
template <Real T>
Var<T> activate(const Var<T>& x, Activation f) {
  return detail::make_result<T>(
      activate(x.value(), f),
      [x, f](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());
        activate_backward<T>(f, x.value(), g, dx);
        x.accumulate(std::move(dx));
      },
      x);
}
template <class X>
X silu(const X& x) {
  return activate(x, Activation::silu);
}

/// silu(x[..., :F]) * x[..., F:] for x (..., 2F).
template <Real T>
Tensor<T> swiglu(const Tensor<T>& x) {
  Tensor<T> out(x.shape().with(-1, x.extent(-1) / 2));
  swiglu<T>(x, out);
  return out;
}
template <Real T>
Var<T> swiglu(const Var<T>& x) {
  return detail::make_result<T>(
      swiglu(x.value()),
      [x](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());
        swiglu_backward<T>(x.value(), g, dx);
        x.accumulate(std::move(dx));
      },
      x);
}

/// Softmax over the innermost dimension.
template <Real T>
Tensor<T> softmax(const Tensor<T>& x) {
  Tensor<T> out(x.shape());
  softmax<T>(x, out);
  return out;
}
template <Real T>
Var<T> softmax(const Var<T>& x) {
  const Tensor<T> p = softmax(x.value());  // (..., N)
  return detail::make_result<T>(
      p,
      [x, p](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());
        softmax_backward<T>(p, g, dx);
        x.accumulate(std::move(dx));
      },
      x);
}

/// x + y of equal shape.
template <Real T>
Tensor<T> add(const Tensor<T>& x, const Tensor<T>& y) {
  require_shape("add", y.shape(), x.shape());
  Tensor<T> out(x.shape());
  axpby<T>(T(1), x, T(1), y, out);
  return out;
}
template <Real T>
Var<T> add(const Var<T>& x, const Var<T>& y) {
  return detail::make_result<T>(
      add(x.value(), y.value()),
      [x, y](const Tensor<T>& g) {
        x.accumulate(g);
        y.accumulate(g);
      },
      x, y);
}

/// x + row, where row's elements line up with the innermost elements of x: a position table (1, T,
/// D) on x (B, T, D).
template <Real T>
Tensor<T> add_broadcast(const Tensor<T>& x, const Tensor<T>& row) {
  Tensor<T> out(x.shape());
  add_row<T>(x, row, out);
  return out;
}
template <Real T>
Var<T> add_broadcast(const Var<T>& x, const Var<T>& row) {
  return detail::make_result<T>(
      add_broadcast(x.value(), row.value()),
      [x, row](const Tensor<T>& g) {
        x.accumulate(g);
        if (row.requires_grad()) add_column_sums<T>(g, row.mutable_grad());
      },
      x, row);
}

/// x (B, T, D) + v (B, D) on every token.
template <Real T>
Tensor<T> add_per_image(const Tensor<T>& x, const Tensor<T>& v) {
  Tensor<T> out(x.shape());
  const index_t b = x.extent(0);
  require_shape("add_per_image", v.shape(), {b, x.extent(2)});
  for (index_t i = 0; i < b; ++i)
    add_row<T>(x.view().slice(0, i, 1), v.view().slice(0, i, 1), out.view().slice(0, i, 1));
  return out;
}
template <Real T>
Var<T> add_per_image(const Var<T>& x, const Var<T>& v) {
  return detail::make_result<T>(
      add_per_image(x.value(), v.value()),
      [x, v](const Tensor<T>& g) {
        x.accumulate(g);
        if (!v.requires_grad()) return;
        View<T> dv = v.mutable_grad().view();
        for (index_t i = 0; i < g.extent(0); ++i)
          add_column_sums<T>(g.view().slice(0, i, 1), dv.slice(0, i, 1));
      },
      x, v);
}

/// alpha * x.
template <Real T>
Tensor<T> scale(const Tensor<T>& x, T alpha) {
  Tensor<T> out(x.shape());
  axpby<T>(alpha, x, T(0), x, out);
  return out;
}
template <Real T>
Var<T> scale(const Var<T>& x, T alpha) {
  return detail::make_result<T>(
      scale(x.value(), alpha), [x, alpha](const Tensor<T>& g) { x.accumulate(scale(g, alpha)); },
      x);
}

/// The same elements under another shape of equal size.
template <Real T>
Tensor<T> reshape(const Tensor<T>& x, const Shape& shape) {
  return x.reshaped(shape);
}
template <Real T>
Var<T> reshape(const Var<T>& x, const Shape& shape) {
  return detail::make_result<T>(
      x.value().reshaped(shape), [x](const Tensor<T>& g) { x.accumulate(g.reshaped(x.shape())); },
      x);
}

/// (B, M, N) -> (B, N, M).
template <Real T>
Tensor<T> transpose(const Tensor<T>& x) {
  Tensor<T> out(Shape{x.extent(0), x.extent(2), x.extent(1)});
  transpose_tokens<T>(x, out);
  return out;
}
template <Real T>
Var<T> transpose(const Var<T>& x) {
  return detail::make_result<T>(
      transpose(x.value()), [x](const Tensor<T>& g) { x.accumulate(transpose(g)); }, x);
}

/// Latent grid (B, C, h, w) -> tokens (B, h*w, C), row-major over the grid.
template <class X>
X grid_to_tokens(const X& x) {
  const Shape s = x.shape();
  return transpose(reshape(x, {s[0], s[1], s[2] * s[3]}));
}
/// Tokens (B, h*w, C) -> latent grid (B, C, h, w).
template <class X>
X tokens_to_grid(const X& x, index_t h, index_t w) {
  const Shape s = x.shape();
  return reshape(transpose(x), {s[0], s[2], h, w});
}

/// prefix (1, P, D) in front of the tokens of every image: (B, T, D) -> (B, P+T, D).
template <Real T>
Tensor<T> prepend_tokens(const Tensor<T>& prefix, const Tensor<T>& x) {
  const index_t b = x.extent(0), p = prefix.extent(1) * prefix.extent(2),
                n = x.extent(1) * x.extent(2);
  Tensor<T> out(Shape{b, prefix.extent(1) + x.extent(1), x.extent(2)});
  T* target = out.data();
  for (index_t i = 0; i < b; ++i) {
    std::copy_n(prefix.data(), p, target + i * (p + n));
    std::copy_n(x.data() + i * n, n, target + i * (p + n) + p);
  }
  return out;
}
template <Real T>
Tensor<T> slice_tokens(const Tensor<T>& x, index_t begin, index_t count);
template <Real T>
Var<T> prepend_tokens(const Var<T>& prefix, const Var<T>& x) {
  return detail::make_result<T>(
      prepend_tokens(prefix.value(), x.value()),
      [prefix, x](const Tensor<T>& g) {
        const index_t p = prefix.extent(1) * prefix.extent(2), stride = g.extent(1) * g.extent(2);
        if (prefix.requires_grad()) {
          T* sum = prefix.mutable_grad().data();
          for (index_t b = 0; b < g.extent(0); ++b)
            for (index_t i = 0; i < p; ++i) sum[i] += g.data()[b * stride + i];
        }
        x.accumulate(slice_tokens(g, prefix.extent(1), x.extent(1)));
      },
      prefix, x);
}

/// `count` tokens from `begin` on: (B, T, D) -> (B, count, D). Throws ShapeError when there are
/// fewer.
template <Real T>
Tensor<T> slice_tokens(const Tensor<T>& x, index_t begin, index_t count) {
  const index_t tokens = x.extent(1), d = x.extent(2);
  if (begin < 0 || count < 0 || begin + count > tokens)
    raise<ShapeError>("slice_tokens: [", begin, ", ", begin + count, ") of ", tokens, " tokens");
  Tensor<T> out(Shape{x.extent(0), count, d});
  T* target = out.data();
  for (index_t b = 0; b < x.extent(0); ++b)
    std::copy_n(x.data() + (b * tokens + begin) * d, count * d, target + b * count * d);
  return out;
}
template <Real T>
Var<T> slice_tokens(const Var<T>& x, index_t begin, index_t count) {
  return detail::make_result<T>(
      slice_tokens(x.value(), begin, count),
      [x, begin](const Tensor<T>& g) {
        T* dx = x.mutable_grad().data();
        const index_t tokens = x.extent(1), d = x.extent(2), kept = g.extent(1) * d;
        for (index_t b = 0; b < g.extent(0); ++b)
          for (index_t i = 0; i < kept; ++i)
            dx[(b * tokens + begin) * d + i] += g.data()[b * kept + i];
      },
      x);
}

/// All tokens but the first `count`: (B, T, D) -> (B, T-count, D).
template <class X>
X drop_tokens(const X& x, index_t count) {
  return slice_tokens(x, count, x.shape()[1] - count);
}
/// The first `count` tokens: (B, T, D) -> (B, count, D).
template <class X>
X keep_tokens(const X& x, index_t count) {
  return slice_tokens(x, 0, count);
}

/// The images of x (B, ...) one batch behind the other, `times` times, as torch.Tensor.repeat:
/// (times * B, ...).
template <Real T>
Tensor<T> repeat(const Tensor<T>& x, index_t times) {
  if (times == 1) return x;
  Tensor<T> out(x.shape().with(0, times * x.extent(0)));
  T* target = out.data();
  for (index_t i = 0; i < times; ++i) target = std::copy_n(x.data(), x.numel(), target);
  return out;
}
template <Real T>
Var<T> repeat(const Var<T>& x, index_t times) {
  if (times == 1) return x;
  return detail::make_result<T>(
      repeat(x.value(), times),
      [x, times](const Tensor<T>& g) {
        for (index_t i = 0; i < times; ++i) {
          Tensor<T> part(x.shape());
          std::copy_n(g.data() + i * part.numel(), part.numel(), part.data());
          x.accumulate(std::move(part));
        }
      },
      x);
}

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
      target[2 * i * f + j] = std::sin(angle);
      target[(2 * i + 1) * f + j] = std::cos(angle);
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
