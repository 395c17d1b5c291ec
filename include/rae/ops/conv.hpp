// Convolution, max-pooling, and the windows of a circular convolution, for Tensor (inference) and
// for Var (recorded, with a gradient).
//
// torch.nn.functional.conv2d, max_pool2d; torch.nn.Conv1d with padding_mode="circular".
#pragma once

#include "rae/autograd/var.hpp"
#include "rae/kernels/conv.hpp"

namespace rae {

/// Convolution of x (B, C, H, W) with weight (O, C, k, k) for odd k, plus bias (O) or an empty
/// bias: (B, O, H, W). Stride 1; (k - 1) / 2 zeros are added at each border. Throws ShapeError.
template <Real T>
Tensor<T> conv2d(const Tensor<T>& x, const Tensor<T>& weight, const Tensor<T>& bias) {
  Tensor<T> out(x.shape().with(1, weight.extent(0)));  // (B, O, H, W)
  conv2d<T>(x, weight, bias, out);
  return out;
}
/// The same, recorded: gradients go to x, weight and bias.
template <Real T>
Var<T> conv2d(const Var<T>& x, const Var<T>& weight, const Var<T>& bias) {
  const Tensor<T> no_bias;  // empty
  return detail::make_result<T>(
      conv2d(x.value(), weight.value(), bias.empty() ? no_bias : bias.value()),
      [x, weight, bias](const Tensor<T>& g) {
        if (x.requires_grad()) {
          Tensor<T> dx(x.shape());  // (B, C, H, W)
          conv2d_backward_input<T>(g, weight.value(), dx);
          x.accumulate(std::move(dx));
        }
        if (!weight.requires_grad()) return;
        View<T> dbias;  // (O)
        if (bias.requires_grad()) dbias = bias.mutable_grad().view();
        conv2d_backward_weight<T>(x.value(), g, weight.mutable_grad(), dbias);
      },
      x, weight, bias);
}

/// The largest element of each 2 x 2 block of x (B, C, H, W): (B, C, H/2, W/2), rounded down; an
/// odd last row or column is ignored. Throws ShapeError.
template <Real T>
Tensor<T> max_pool2d(const Tensor<T>& x) {
  Tensor<T> out(x.shape().with(2, x.extent(2) / 2).with(3, x.extent(3) / 2));  // (B, C, H/2, W/2)
  max_pool2d<T>(x, out);
  return out;
}
/// The same, recorded: the gradient goes to the largest element of each block, the first of equals.
template <Real T>
Var<T> max_pool2d(const Var<T>& x) {
  return detail::make_result<T>(
      max_pool2d(x.value()),
      [x](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());  // (B, C, H, W)
        max_pool2d_backward<T>(x.value(), g, dx);
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
