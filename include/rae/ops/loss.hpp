// Losses: scalars (shape ()) whose gradients go to the first argument only. Sums are taken in
// double, in an order that does not depend on the number of threads.
#pragma once

#include <cstdint>
#include <span>

#include "rae/autograd/var.hpp"
#include "rae/kernels/loss.hpp"

namespace rae {

/// A scalar loss whose value and gradient at x have been computed elsewhere; `gradient` has the
/// shape of x. The backward pass multiplies it by the gradient at the loss and adds it to x's.
/// Throws ShapeError.
template <Real T>
Var<T> known_loss(T value, const Tensor<T>& gradient, const Var<T>& x) {
  require_shape("known_loss: gradient", gradient.shape(), x.shape());
  return detail::make_result<T>(
      Tensor<T>(Shape{}, value),
      [x, gradient](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());  // (...), as x
        axpby<T>(g[0], gradient, T(0), gradient, dx);
        x.accumulate(std::move(dx));
      },
      x);
}

/// Mean of all elements of x, of any shape. Throws ShapeError when there are none.
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

/// Mean of (x - target)^2 over all elements, for x and target of equal shape. Throws ShapeError.
template <Real T>
Var<T> mse_loss(const Var<T>& x, const Tensor<T>& target) {
  return detail::make_result<T>(
      Tensor<T>(Shape{}, mse<T>(x.value(), target)),
      [x, target](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());  // (...), as x
        mse_backward<T>(x.value(), target, g[0], dx);
        x.accumulate(std::move(dx));
      },
      x);
}

/// Mean of |x - target| over all elements, for x and target of equal shape; the gradient is 0 where
/// they are equal. Throws ShapeError.
template <Real T>
Var<T> l1_loss(const Var<T>& x, const Tensor<T>& target) {
  return detail::make_result<T>(
      Tensor<T>(Shape{}, l1<T>(x.value(), target)),
      [x, target](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());  // (...), as x
        l1_backward<T>(x.value(), target, g[0], dx);
        x.accumulate(std::move(dx));
      },
      x);
}

/// Mean over the rows of -log softmax(logits)[label], for logits (N, K) and labels (N), each in [0,
/// K). With smoothing, this share of the label's weight is divided among all classes (Szegedy et
/// al. 2016, "Rethinking the Inception Architecture for Computer Vision", section 7). Throws
/// ShapeError, ArgumentError.
template <Real T>
Var<T> cross_entropy_loss(const Var<T>& logits, std::span<const std::int64_t> labels,
                          double smoothing = 0) {
  Tensor<T> dlogits(logits.shape());  // (N, K)
  const T loss = cross_entropy<T>(logits.value(), labels, dlogits, smoothing);
  return detail::make_result<T>(
      Tensor<T>(Shape{}, loss),
      [logits, dlogits](const Tensor<T>& g) {
        Tensor<T> dx(logits.shape());  // (N, K)
        axpby<T>(g[0], dlogits, T(0), dlogits, dx);
        logits.accumulate(std::move(dx));
      },
      logits);
}

/// The same for targets (N, K), the shares of the classes, at least 0 and of the sum 1 in each row.
/// Throws ShapeError.
template <Real T>
Var<T> soft_cross_entropy_loss(const Var<T>& logits, const Tensor<T>& targets) {
  Tensor<T> dlogits(logits.shape());  // (N, K)
  const T loss = soft_cross_entropy<T>(logits.value(), targets, dlogits);
  return detail::make_result<T>(
      Tensor<T>(Shape{}, loss),
      [logits, dlogits](const Tensor<T>& g) {
        Tensor<T> dx(logits.shape());  // (N, K)
        axpby<T>(g[0], dlogits, T(0), dlogits, dx);
        logits.accumulate(std::move(dx));
      },
      logits);
}

}  // namespace rae
