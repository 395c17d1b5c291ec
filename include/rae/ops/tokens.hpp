// Operations that move elements and compute nothing: reshape, transpose, sequences of tokens,
// patches of images; for Tensor (inference) and for Var (recorded, with a gradient).
#pragma once

#include "rae/autograd/var.hpp"
#include "rae/kernels/patch.hpp"

namespace rae {

/// The elements of x, of any shape, in another shape with as many elements. Shares the memory of x.
/// Throws ShapeError.
template <Real T>
Tensor<T> reshape(const Tensor<T>& x, const Shape& shape) {
  return x.reshaped(shape);
}
/// The same, recorded: the gradient goes to x.
template <Real T>
Var<T> reshape(const Var<T>& x, const Shape& shape) {
  return detail::make_result<T>(
      x.value().reshaped(shape), [x](const Tensor<T>& g) { x.accumulate(g.reshaped(x.shape())); },
      x);
}

/// The last two dimensions exchanged: x (B, M, N) -> (B, N, M). Throws ShapeError.
template <Real T>
Tensor<T> transpose(const Tensor<T>& x) {
  Tensor<T> out(Shape{x.extent(0), x.extent(2), x.extent(1)});  // (B, N, M)
  transpose_tokens<T>(x, out);
  return out;
}
/// The same, recorded: the gradient goes to x.
template <Real T>
Var<T> transpose(const Var<T>& x) {
  return detail::make_result<T>(
      transpose(x.value()), [x](const Tensor<T>& g) { x.accumulate(transpose(g)); }, x);
}

/// Latent grid x (B, C, h, w) -> tokens (B, h*w, C), row-major over the grid. Throws ShapeError.
template <class X>
X grid_to_tokens(const X& x) {
  const Shape s = x.shape();
  return transpose(reshape(x, {s[0], s[1], s[2] * s[3]}));
}
/// Tokens x (B, h*w, C) -> latent grid (B, C, h, w). Throws ShapeError.
template <class X>
X tokens_to_grid(const X& x, index_t h, index_t w) {
  const Shape s = x.shape();
  return reshape(transpose(x), {s[0], s[2], h, w});
}

/// Tokens [begin, begin + count) of x (B, T, D): (B, count, D). Throws ShapeError for a range that
/// is not within [0, T).
template <Real T>
Tensor<T> slice_tokens(const Tensor<T>& x, index_t begin, index_t count) {
  const index_t tokens = x.extent(1), d = x.extent(2);
  if (begin < 0 || count < 0 || begin + count > tokens)
    raise<ShapeError>("slice_tokens: [", begin, ", ", begin + count, ") of ", tokens, " tokens");
  Tensor<T> out(Shape{x.extent(0), count, d});  // (B, count, D)
  T* target = out.data();
  for (index_t b = 0; b < x.extent(0); ++b)
    copy_elements(x.data() + (b * tokens + begin) * d, count * d, target + b * count * d);
  return out;
}
/// The same, recorded: the gradient goes to the tokens that were taken.
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

/// x (B, T, D) with the tokens of prefix (1, P, D) put before those of each image: (B, P+T, D).
template <Real T>
Tensor<T> prepend_tokens(const Tensor<T>& prefix, const Tensor<T>& x) {
  const index_t b = x.extent(0), p = prefix.extent(1) * prefix.extent(2),
                n = x.extent(1) * x.extent(2);
  Tensor<T> out(Shape{b, prefix.extent(1) + x.extent(1), x.extent(2)});  // (B, P+T, D)
  T* target = out.data();
  for (index_t i = 0; i < b; ++i) {
    copy_elements(prefix.data(), p, target + i * (p + n));
    copy_elements(x.data() + i * n, n, target + i * (p + n) + p);
  }
  return out;
}
/// The same, recorded: gradients go to x and, summed over the images, to prefix.
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

/// All tokens of x (B, T, D) except the first `count`: (B, T-count, D). Throws ShapeError.
template <class X>
X drop_tokens(const X& x, index_t count) {
  return slice_tokens(x, count, x.shape()[1] - count);
}
/// The first `count` tokens of x (B, T, D): (B, count, D). Throws ShapeError.
template <class X>
X keep_tokens(const X& x, index_t count) {
  return slice_tokens(x, 0, count);
}

/// `times` copies of the batch x (B, ...), concatenated, as torch.Tensor.repeat: (times * B, ...).
/// `times` is at least 1.
template <Real T>
Tensor<T> repeat(const Tensor<T>& x, index_t times) {
  if (times == 1) return x;
  Tensor<T> out(x.shape().with(0, times * x.extent(0)));  // (times * B, ...)
  T* target = out.data();
  for (index_t i = 0; i < times; ++i) target = copy_elements(x.data(), x.numel(), target);
  return out;
}
/// The same, recorded: the sum of the gradients of the copies goes to x.
template <Real T>
Var<T> repeat(const Var<T>& x, index_t times) {
  if (times == 1) return x;
  return detail::make_result<T>(
      repeat(x.value(), times),
      [x, times](const Tensor<T>& g) {
        for (index_t i = 0; i < times; ++i) {
          Tensor<T> part(x.shape());  // (B, ...)
          copy_elements(g.data() + i * part.numel(), part.numel(), part.data());
          x.accumulate(std::move(part));
        }
      },
      x);
}

/// a (B, M) and b (B, N) concatenated along the columns: (B, M+N). Throws ShapeError.
template <Real T>
Tensor<T> join_columns(const Tensor<T>& a, const Tensor<T>& b) {
  if (a.shape().rank() != 2 || b.shape().rank() != 2 || a.extent(0) != b.extent(0))
    raise<ShapeError>("join_columns: expected (B, M) and (B, N), got ", a.shape(), " and ",
                      b.shape());
  const index_t m = a.extent(1), n = b.extent(1);
  Tensor<T> out(Shape{a.extent(0), m + n});  // (B, M+N)
  T* target = out.data();
  for (index_t r = 0; r < a.extent(0); ++r) {
    copy_elements(a.data() + r * m, m, target + r * (m + n));
    copy_elements(b.data() + r * n, n, target + r * (m + n) + m);
  }
  return out;
}
/// The same, recorded: gradients go to a and b.
template <Real T>
Var<T> join_columns(const Var<T>& a, const Var<T>& b) {
  return detail::make_result<T>(
      join_columns(a.value(), b.value()),
      [a, b](const Tensor<T>& g) {
        const index_t m = a.extent(1), n = b.extent(1);
        Tensor<T> da(a.shape()), db(b.shape());  // (B, M), (B, N)
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

/// image (B, C, h*P, w*P) cut into patches of side P = `patch`: tokens (B, h*w, C*P*P), row-major
/// over the grid, with the features in the order (C, P, P) of the weight of a patch convolution.
/// Throws ShapeError.
template <Real T>
Tensor<T> patchify(const Tensor<T>& image, index_t patch) {
  const Shape s = image.shape();
  if (s.rank() != 4) raise<ShapeError>("patchify: expected (B, C, H, W), got ", s);
  Tensor<T> out(
      Shape{s[0], (s[2] / patch) * (s[3] / patch), s[1] * patch * patch});  // (B, h*w, C*P*P)
  patchify<T>(image, patch, PatchOrder::channels_first, out);
  return out;
}
/// The same, recorded: the gradient goes to image.
template <Real T>
Var<T> patchify(const Var<T>& image, index_t patch) {
  return detail::make_result<T>(
      patchify(image.value(), patch),
      [image, patch](const Tensor<T>& g) {
        Tensor<T> dx(image.shape());  // (B, C, h*P, w*P)
        unpatchify<T>(g, patch, PatchOrder::channels_first, dx);
        image.accumulate(std::move(dx));
      },
      image);
}

/// tokens (B, h*w, P*P*C), with the features in the order (P, P, C) -> image (B, C, h*P, w*P) for P
/// = `patch`. Throws ShapeError.
template <Real T>
Tensor<T> unpatchify(const Tensor<T>& tokens, index_t h, index_t w, index_t patch) {
  Tensor<T> out(Shape{tokens.extent(0), tokens.extent(2) / (patch * patch), h * patch,
                      w * patch});  // (B, C, h*P, w*P)
  unpatchify<T>(tokens, patch, PatchOrder::channels_last, out);
  return out;
}
/// The same, recorded: the gradient goes to tokens.
template <Real T>
Var<T> unpatchify(const Var<T>& tokens, index_t h, index_t w, index_t patch) {
  return detail::make_result<T>(
      unpatchify(tokens.value(), h, w, patch),
      [tokens, patch](const Tensor<T>& g) {
        Tensor<T> dx(tokens.shape());  // (B, h*w, P*P*C)
        patchify<T>(g, patch, PatchOrder::channels_last, dx);
        tokens.accumulate(std::move(dx));
      },
      tokens);
}

}  // namespace rae
