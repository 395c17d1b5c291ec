// Activation functions, on Tensor (runs) and on Var (runs and records).
#pragma once

#include "rae/autograd/var.hpp"
#include "rae/kernels/activation.hpp"
#include "rae/kernels/leaky_relu.hpp"
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

/// x where it is positive, else slope * x.
template <Real T>
Tensor<T> leaky_relu(const Tensor<T>& x, T slope) {
  Tensor<T> out(x.shape());
  leaky_relu<T>(x.view(), slope, out.view());
  return out;
}
template <Real T>
Var<T> leaky_relu(const Var<T>& x, T slope) {
  return detail::make_result<T>(
      leaky_relu(x.value(), slope),
      [x, slope](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());
        leaky_relu_backward<T>(x.value().view(), slope, g.view(), dx.view());
        x.accumulate(std::move(dx));
      },
      x);
}

}  // namespace rae
