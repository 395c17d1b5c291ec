// Losses: mean squared error (the flow-matching objective), mean absolute error (the decoder's),
// cross-entropy.
#pragma once

#include <span>

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// Mean of (a - b)^2 over all elements, summed in double in a fixed order. Throws ShapeError.
template <Real T>
[[nodiscard]] T mse(View<const T> a, View<const T> b);

/// da = dloss * 2 (a - b) / numel; the gradient at b is its negative. Throws ShapeError.
template <Real T>
void mse_backward(View<const T> a, View<const T> b, T dloss, View<T> da);

/// Mean of |a - b| over all elements, summed in double in a fixed order. Throws ShapeError.
template <Real T>
[[nodiscard]] T l1(View<const T> a, View<const T> b);

/// da = dloss * sign(a - b) / numel, with sign(0) = 0. Throws ShapeError.
template <Real T>
void l1_backward(View<const T> a, View<const T> b, T dloss, View<T> da);

/// Mean over rows of the sum of -q log softmax(logits (N, K)), where q is 1 - smoothing at the
/// label plus smoothing / K everywhere (Szegedy et al. 2016, "Rethinking the Inception Architecture
/// for Computer Vision", section 7). `dlogits` (N, K), when not empty, receives the gradient of
/// that mean. Throws ArgumentError for a label outside [0, K) or a smoothing outside [0, 1],
/// ShapeError.
template <Real T>
[[nodiscard]] T cross_entropy(View<const T> logits, std::span<const std::int64_t> labels,
                              View<T> dlogits = {}, double smoothing = 0);

/// The same for targets q (N, K), the shares of the classes, at least 0 and of the sum 1 in each
/// row: the mean over rows of the sum of -q log softmax(logits). Throws ShapeError.
template <Real T>
[[nodiscard]] T soft_cross_entropy(View<const T> logits, View<const T> targets,
                                   View<T> dlogits = {});

extern template float mse<float>(View<const float>, View<const float>);
extern template double mse<double>(View<const double>, View<const double>);
extern template void mse_backward<float>(View<const float>, View<const float>, float, View<float>);
extern template void mse_backward<double>(View<const double>, View<const double>, double,
                                          View<double>);
extern template float l1<float>(View<const float>, View<const float>);
extern template double l1<double>(View<const double>, View<const double>);
extern template void l1_backward<float>(View<const float>, View<const float>, float, View<float>);
extern template void l1_backward<double>(View<const double>, View<const double>, double,
                                         View<double>);
extern template float cross_entropy<float>(View<const float>, std::span<const std::int64_t>,
                                           View<float>, double);
extern template double cross_entropy<double>(View<const double>, std::span<const std::int64_t>,
                                             View<double>, double);
extern template float soft_cross_entropy<float>(View<const float>, View<const float>, View<float>);
extern template double soft_cross_entropy<double>(View<const double>, View<const double>,
                                                  View<double>);

}  // namespace rae
