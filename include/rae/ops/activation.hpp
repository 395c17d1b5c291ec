// Activation functions, for Tensor (inference) and for Var (recorded, with a gradient).
//
// GELU: Hendrycks and Gimpel 2016; SwiGLU: Shazeer 2020, "GLU Variants Improve Transformer",
// equation 6; leaky ReLU: Maas, Hannun, Ng 2013.
#pragma once

#include "rae/autograd/var.hpp"
#include "rae/kernels/activation.hpp"
#include "rae/kernels/leaky_relu.hpp"
#include "rae/kernels/softmax.hpp"

namespace rae {

/// f(x) for each element of x, of any shape. Throws ArgumentError for Activation::swiglu, which
/// halves the last dimension: use `swiglu`.
template <Real T>
Tensor<T> activate(const Tensor<T>& x, Activation f) {
  Tensor<T> out(x.shape());  // (...), as x
  activate<T>(f, x, out);
  return out;
}
/// The same, recorded: the gradient goes to x.
template <Real T>
Var<T> activate(const Var<T>& x, Activation f) {
  return detail::make_result<T>(
      activate(x.value(), f),
      [x, f](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());  // (...), as x
        activate_backward<T>(f, x.value(), g, dx);
        x.accumulate(std::move(dx));
      },
      x);
}
/// SiLU, x * sigmoid(x), for each element of x, of any shape, a Tensor or a Var.
template <class X>
X silu(const X& x) {
  return activate(x, Activation::silu);
}

/// silu(x[..., :F]) * x[..., F:] for x (..., 2F): (..., F). Throws ShapeError when the last
/// dimension is odd.
template <Real T>
Tensor<T> swiglu(const Tensor<T>& x) {
  Tensor<T> out(x.shape().with(-1, x.extent(-1) / 2));  // (..., F)
  swiglu<T>(x, out);
  return out;
}
/// The same, recorded: the gradient goes to x.
template <Real T>
Var<T> swiglu(const Var<T>& x) {
  return detail::make_result<T>(
      swiglu(x.value()),
      [x](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());  // (...), as x
        swiglu_backward<T>(x.value(), g, dx);
        x.accumulate(std::move(dx));
      },
      x);
}

/// Softmax over the last dimension of x (..., N): positive, with sum 1.
template <Real T>
Tensor<T> softmax(const Tensor<T>& x) {
  Tensor<T> out(x.shape());  // (..., N)
  softmax<T>(x, out);
  return out;
}
/// The same, recorded: the gradient goes to x.
template <Real T>
Var<T> softmax(const Var<T>& x) {
  const Tensor<T> p = softmax(x.value());  // (..., N)
  return detail::make_result<T>(
      p,
      [x, p](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());  // (...), as x
        softmax_backward<T>(p, g, dx);
        x.accumulate(std::move(dx));
      },
      x);
}

/// x where it is positive, slope * x elsewhere, for each element of x, of any shape. Slope 0 is
/// ReLU.
template <Real T>
Tensor<T> leaky_relu(const Tensor<T>& x, T slope) {
  Tensor<T> out(x.shape());  // (...), as x
  leaky_relu<T>(x.view(), slope, out.view());
  return out;
}
/// The same, recorded: the gradient goes to x.
template <Real T>
Var<T> leaky_relu(const Var<T>& x, T slope) {
  return detail::make_result<T>(
      leaky_relu(x.value(), slope),
      [x, slope](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());  // (...), as x
        leaky_relu_backward<T>(x.value().view(), slope, g.view(), dx.view());
        x.accumulate(std::move(dx));
      },
      x);
}

}  // namespace rae
