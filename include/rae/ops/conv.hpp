// Convolution, pooling, and the windows of a circular convolution, for Tensor (inference) and for
// Var (recorded, with a gradient).
//
// torch.nn.functional.conv2d, max_pool2d, avg_pool2d(count_include_pad=False); torch.nn.Conv1d with
// padding_mode="circular".
#pragma once

#include "rae/autograd/var.hpp"
#include "rae/kernels/conv.hpp"

namespace rae {

namespace detail {
/// The shape (B, C, h, w) of pictures x (B, C, H, W) after pooling. Throws ShapeError when the
/// window does not fit.
inline Shape pooled_shape(const Shape& x, const Window& window) {
  if (x.rank() != 4 || window.stride < 1 || window.out_h(x[2]) < 1 || window.out_w(x[3]) < 1)
    raise<ShapeError>("expected pictures (B, C, H, W) into which a window ", window.height, " x ",
                      window.width, " fits, got ", x);
  return {x[0], x[1], window.out_h(x[2]), window.out_w(x[3])};
}
}  // namespace detail

/// Convolution of x (B, C, H, W) with weight (O, C, kh, kw) of the window's size, plus bias (O) or
/// an empty bias: (B, O, h, w). Throws ShapeError.
template <Real T>
Tensor<T> conv2d(const Tensor<T>& x, const Tensor<T>& weight, const Tensor<T>& bias,
                 const Window& window) {
  Tensor<T> out(detail::pooled_shape(x.shape(), window).with(1, weight.extent(0)));  // (B, O, h, w)
  conv2d<T>(x, weight, bias, window, out);
  return out;
}
/// The same, recorded: gradients go to x, weight and bias.
template <Real T>
Var<T> conv2d(const Var<T>& x, const Var<T>& weight, const Var<T>& bias, const Window& window) {
  const Tensor<T> no_bias;  // empty
  return detail::make_result<T>(
      conv2d(x.value(), weight.value(), bias.empty() ? no_bias : bias.value(), window),
      [x, weight, bias, window](const Tensor<T>& g) {
        if (x.requires_grad()) {
          Tensor<T> dx(x.shape());  // (B, C, H, W)
          conv2d_backward_input<T>(g, weight.value(), window, dx);
          x.accumulate(std::move(dx));
        }
        if (!weight.requires_grad()) return;
        View<T> dbias;  // (O)
        if (bias.requires_grad()) dbias = bias.mutable_grad().view();
        conv2d_backward_weight<T>(x.value(), g, window, weight.mutable_grad(), dbias);
      },
      x, weight, bias);
}

/// The largest element of x (B, C, H, W) in each window; by default in each 2 x 2 block, where an
/// odd last row or column is ignored: (B, C, h, w). Throws ShapeError.
template <Real T>
Tensor<T> max_pool2d(const Tensor<T>& x, const Window& window = {2, 2, 2}) {
  Tensor<T> out(detail::pooled_shape(x.shape(), window));  // (B, C, h, w)
  max_pool2d<T>(x, window, out);
  return out;
}
/// The same, recorded: the gradient goes to the largest element of each window, the first of
/// equals.
template <Real T>
Var<T> max_pool2d(const Var<T>& x, const Window& window = {2, 2, 2}) {
  return detail::make_result<T>(
      max_pool2d(x.value(), window),
      [x, window](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());  // (B, C, H, W)
        max_pool2d_backward<T>(x.value(), g, window, dx);
        x.accumulate(std::move(dx));
      },
      x);
}

/// The mean of x (B, C, H, W) in each window, over the pixels inside of the picture: (B, C, h, w).
/// Throws ShapeError.
template <Real T>
Tensor<T> avg_pool2d(const Tensor<T>& x, const Window& window) {
  Tensor<T> out(detail::pooled_shape(x.shape(), window));  // (B, C, h, w)
  avg_pool2d<T>(x, window, out);
  return out;
}
/// The same, recorded: the gradient goes to x.
template <Real T>
Var<T> avg_pool2d(const Var<T>& x, const Window& window) {
  return detail::make_result<T>(
      avg_pool2d(x.value(), window),
      [x, window](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());  // (B, C, H, W)
        avg_pool2d_backward<T>(g, window, dx);
        x.accumulate(std::move(dx));
      },
      x);
}

namespace detail {
/// Calls body(row, channel, tap, position) for every element of the windows of k neighbours: row
/// counts the `rows` = B*L windows, position is the element's place in [0, L).
template <class Body>
void for_windows(index_t rows, index_t channels, index_t length, index_t k, Body body) {
  for (index_t row = 0; row < rows; ++row)
    for (index_t c = 0; c < channels; ++c)
      for (index_t j = 0; j < k; ++j)
        body(row, c, j, (row % length + j - (k - 1) / 2 + length) % length);
}
}  // namespace detail

/// The k neighbours of each position of x (B, C, L), whose last position is followed by the first:
/// (B, L, C*k), taps fastest, for odd k <= 2L + 1. A linear layer on them is torch.nn.Conv1d with
/// circular padding. Throws ShapeError.
template <Real T>
Tensor<T> circular_windows(const Tensor<T>& x, index_t k) {
  const Shape s = x.shape();
  if (s.rank() != 3 || s.numel() == 0 || k < 1 || k % 2 == 0 || k / 2 > s[2])
    raise<ShapeError>("circular_windows: expected (B, C, L) and an odd k <= 2L + 1, got ", s,
                      " and ", k);
  Tensor<T> out(Shape{s[0], s[2], s[1] * k});  // (B, L, C*k)
  T* target = out.data();
  const T* source = x.data();
  detail::for_windows(
      s[0] * s[2], s[1], s[2], k, [&](index_t row, index_t c, index_t j, index_t at) {
        target[(row * s[1] + c) * k + j] = source[(row / s[2] * s[1] + c) * s[2] + at];
      });
  return out;
}
/// The same, recorded: the gradient goes to x.
template <Real T>
Var<T> circular_windows(const Var<T>& x, index_t k) {
  return detail::make_result<T>(
      circular_windows(x.value(), k),
      [x, k](const Tensor<T>& g) {
        const Shape s = x.shape();
        Tensor<T> dx = Tensor<T>::zeros(s);  // (B, C, L)
        T* target = dx.data();
        detail::for_windows(
            s[0] * s[2], s[1], s[2], k, [&](index_t row, index_t c, index_t j, index_t at) {
              target[(row / s[2] * s[1] + c) * s[2] + at] += g[(row * s[1] + c) * k + j];
            });
        x.accumulate(std::move(dx));
      },
      x);
}

}  // namespace rae
