// Losses of the training text: scalars (shape ()) whose gradients flow to the first argument only.
#pragma once

#include <vector>

#include "rae/autograd/var.hpp"
#include "rae/kernels/loss.hpp"

namespace rae {

/// A scalar loss whose gradient at x is known already: times its own, that flows to x. Throws
/// ShapeError unless it has x's shape.
template <Real T>
Var<T> known_loss(T value, const Tensor<T>& gradient, const Var<T>& x) {
  require_shape("known_loss: gradient", gradient.shape(), x.shape());
  return detail::make_result<T>(
      Tensor<T>(Shape{}, value),
      [x, gradient](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());
        axpby<T>(g[0], gradient, T(0), gradient, dx);
        x.accumulate(std::move(dx));
      },
      x);
}

/// Mean of all elements. Throws ShapeError for none.
template <Real T>
Var<T> mean(const Var<T>& x) {
  const index_t n = x.empty() ? 0 : x.shape().numel();
  if (n == 0) raise<ShapeError>("mean: there are no elements");
  double sum = 0;
  for (const T value : x.value().span()) sum += static_cast<double>(value);
  return detail::make_result<T>(
      Tensor<T>(Shape{}, static_cast<T>(sum / static_cast<double>(n))),
      [x, n](const Tensor<T>& g) { x.accumulate(Tensor<T>(x.shape(), g[0] / static_cast<T>(n))); },
      x);
}

/// Mean of (x - target)^2.
template <Real T>
Var<T> mse_loss(const Var<T>& x, const Tensor<T>& target) {
  return detail::make_result<T>(
      Tensor<T>(Shape{}, mse<T>(x.value(), target)),
      [x, target](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());
        mse_backward<T>(x.value(), target, g[0], dx);
        x.accumulate(std::move(dx));
      },
      x);
}

/// Mean of |x - target|.
template <Real T>
Var<T> l1_loss(const Var<T>& x, const Tensor<T>& target) {
  return detail::make_result<T>(
      Tensor<T>(Shape{}, l1<T>(x.value(), target)),
      [x, target](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());
        l1_backward<T>(x.value(), target, g[0], dx);
        x.accumulate(std::move(dx));
      },
      x);
}

/// Mean cross-entropy of logits (N, K) with labels.
template <Real T>
Var<T> cross_entropy_loss(const Var<T>& logits, std::span<const std::int64_t> labels) {
  Tensor<T> dlogits(logits.shape());
  const T loss = cross_entropy<T>(logits.value(), labels, dlogits);
  return detail::make_result<T>(
      Tensor<T>(Shape{}, loss),
      [logits, dlogits](const Tensor<T>& g) {
        Tensor<T> dx(logits.shape());
        axpby<T>(g[0], dlogits, T(0), dlogits, dx);
        logits.accumulate(std::move(dx));
      },
      logits);
}

}  // namespace rae
