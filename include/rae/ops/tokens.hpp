// Changes of shape and order: reshape, transpose, sequences of tokens, patches of images.
#pragma once

#include "rae/autograd/var.hpp"
#include "rae/kernels/patch.hpp"

namespace rae {

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
    copy_elements(x.data() + (b * tokens + begin) * d, count * d, target + b * count * d);
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

/// prefix (1, P, D) in front of the tokens of every image: (B, T, D) -> (B, P+T, D).
template <Real T>
Tensor<T> prepend_tokens(const Tensor<T>& prefix, const Tensor<T>& x) {
  const index_t b = x.extent(0), p = prefix.extent(1) * prefix.extent(2),
                n = x.extent(1) * x.extent(2);
  Tensor<T> out(Shape{b, prefix.extent(1) + x.extent(1), x.extent(2)});
  T* target = out.data();
  for (index_t i = 0; i < b; ++i) {
    copy_elements(prefix.data(), p, target + i * (p + n));
    copy_elements(x.data() + i * n, n, target + i * (p + n) + p);
  }
  return out;
}
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
  for (index_t i = 0; i < times; ++i) target = copy_elements(x.data(), x.numel(), target);
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
          copy_elements(g.data() + i * part.numel(), part.numel(), part.data());
          x.accumulate(std::move(part));
        }
      },
      x);
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
    copy_elements(a.data() + r * m, m, target + r * (m + n));
    copy_elements(b.data() + r * n, n, target + r * (m + n) + m);
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
          copy_elements(g.data() + r * (m + n), m, left + r * m);
          copy_elements(g.data() + r * (m + n) + m, n, right + r * n);
        }
        a.accumulate(std::move(da));
        b.accumulate(std::move(db));
      },
      a, b);
}

/// image (B, C, H, W) -> tokens (B, h*w, C*P*P), features in the order of a patch convolution's
/// weight.
template <Real T>
Tensor<T> patchify(const Tensor<T>& image, index_t patch) {
  const Shape s = image.shape();
  if (s.rank() != 4) raise<ShapeError>("patchify: expected (B, C, H, W), got ", s);
  Tensor<T> out(Shape{s[0], (s[2] / patch) * (s[3] / patch), s[1] * patch * patch});
  patchify<T>(image, patch, PatchOrder::channels_first, out);
  return out;
}
template <Real T>
Var<T> patchify(const Var<T>& image, index_t patch) {
  return detail::make_result<T>(
      patchify(image.value(), patch),
      [image, patch](const Tensor<T>& g) {
        Tensor<T> dx(image.shape());
        unpatchify<T>(g, patch, PatchOrder::channels_first, dx);
        image.accumulate(std::move(dx));
      },
      image);
}

/// tokens (B, h*w, P*P*C), channel fastest -> image (B, C, h*P, w*P).
template <Real T>
Tensor<T> unpatchify(const Tensor<T>& tokens, index_t h, index_t w, index_t patch) {
  Tensor<T> out(Shape{tokens.extent(0), tokens.extent(2) / (patch * patch), h * patch, w * patch});
  unpatchify<T>(tokens, patch, PatchOrder::channels_last, out);
  return out;
}
template <Real T>
Var<T> unpatchify(const Var<T>& tokens, index_t h, index_t w, index_t patch) {
  return detail::make_result<T>(
      unpatchify(tokens.value(), h, w, patch),
      [tokens, patch](const Tensor<T>& g) {
        Tensor<T> dx(tokens.shape());
        patchify<T>(g, patch, PatchOrder::channels_last, dx);
        tokens.accumulate(std::move(dx));
      },
      tokens);
}

}  // namespace rae
