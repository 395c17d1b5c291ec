// Convolution and max-pooling of the classifier's text.
#pragma once

#include "rae/autograd/var.hpp"
#include "rae/kernels/conv.hpp"

namespace rae {

/// x (B, C, H, W) correlated with weight (O, C, k, k), odd k, plus bias (O) or empty: (B, O, H, W).
template <Real T>
Tensor<T> conv2d(const Tensor<T>& x, const Tensor<T>& weight, const Tensor<T>& bias) {
  Tensor<T> out(x.shape().with(1, weight.extent(0)));
  conv2d<T>(x, weight, bias, out);
  return out;
}
template <Real T>
Var<T> conv2d(const Var<T>& x, const Var<T>& weight, const Var<T>& bias) {
  const Tensor<T> no_bias;
  return detail::make_result<T>(
      conv2d(x.value(), weight.value(), bias.empty() ? no_bias : bias.value()),
      [x, weight, bias](const Tensor<T>& g) {
        if (x.requires_grad()) {
          Tensor<T> dx(x.shape());
          conv2d_backward_input<T>(g, weight.value(), dx);
          x.accumulate(std::move(dx));
        }
        if (!weight.requires_grad()) return;
        View<T> dbias;
        if (bias.requires_grad()) dbias = bias.mutable_grad().view();
        conv2d_backward_weight<T>(x.value(), g, weight.mutable_grad(), dbias);
      },
      x, weight, bias);
}

/// The largest of each 2 x 2 block: (B, C, H, W) -> (B, C, H/2, W/2).
template <Real T>
Tensor<T> max_pool2d(const Tensor<T>& x) {
  Tensor<T> out(x.shape().with(2, x.extent(2) / 2).with(3, x.extent(3) / 2));
  max_pool2d<T>(x, out);
  return out;
}
template <Real T>
Var<T> max_pool2d(const Var<T>& x) {
  return detail::make_result<T>(
      max_pool2d(x.value()),
      [x](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());
        max_pool2d_backward<T>(x.value(), g, dx);
        x.accumulate(std::move(dx));
      },
      x);
}

}  // namespace rae
