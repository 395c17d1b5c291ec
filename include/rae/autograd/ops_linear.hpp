// The linear layer of the model text.
#pragma once

#include "rae/autograd/ops_basic.hpp"
#include "rae/kernels/gemm.hpp"

namespace rae {

namespace detail {
template <Real T, class Weight>
Tensor<T> linear_forward(const Tensor<T>& x, const Weight& weight, index_t n, const Tensor<T>& bias, Activation activation) {
  const index_t k = x.extent(-1), rows = x.shape().rows();
  Tensor<T> out(x.shape().with(-1, n));
  gemm<T>(View<const T>(x.data(), {rows, k}), weight, View<T>(out.data(), {rows, n}), BasicEpilogue<T>{bias.view(), activation, false});
  return out;
}
}  // namespace detail

/// activation(x W^T + b) for x (..., K), W (N, K), b (N) or empty: (..., N).
template <Real T>
Tensor<T> linear(const Tensor<T>& x, const Tensor<T>& weight, const Tensor<T>& bias, Activation activation = Activation::none) {
  return detail::linear_forward(x, weight.view().transposed(), weight.extent(0), bias, activation);
}

/// The same with W^T packed before.
template <Real T>
Tensor<T> linear(const Tensor<T>& x, const PackedMatrix<T>& weight, const Tensor<T>& bias, Activation activation = Activation::none) {
  return detail::linear_forward(x, weight, weight.n(), bias, activation);
}

template <Real T>
Var<T> linear(const Var<T>& x, const Var<T>& weight, const Var<T>& bias, Activation activation = Activation::none) {
  // The activation's derivative needs its input, so it is an operation of its own here.
  if (activation != Activation::none) return activate(linear(x, weight, bias), activation);
  const Tensor<T> no_bias;
  return detail::make_result<T>(
      linear(x.value(), weight.value(), bias.empty() ? no_bias : bias.value()),
      [x, weight, bias](const Tensor<T>& g) {
        const index_t k = x.extent(-1), n = weight.extent(0), rows = x.shape().rows();
        const View<const T> dout(g.data(), {rows, n});
        if (x.requires_grad()) {
          Tensor<T> dx(x.shape());
          gemm<T>(dout, weight.value().view(), View<T>(dx.data(), {rows, k}));
          x.accumulate(std::move(dx));
        }
        if (weight.requires_grad())
          gemm<T>(dout.transposed(), View<const T>(x.value().data(), {rows, k}), weight.mutable_grad().view(),
                  BasicEpilogue<T>{{}, Activation::none, true});
        if (bias.requires_grad()) add_column_sums<T>(g, bias.mutable_grad());
      },
      x, weight, bias);
}

}  // namespace rae
