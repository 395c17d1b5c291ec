// Softmax of rows, forward and backward; attention and the cross-entropy have their own, fused.
//
// Bridle, "Probabilistic Interpretation of Feedforward Classification Network Outputs" (1990); the
// largest score is subtracted first, so that no exponential overflows.
#pragma once

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// out (..., N) = exp(x) / sum(exp(x)) over the innermost dimension. Contiguous, of equal shape;
/// may be the same memory. Throws ShapeError.
template <Real T>
void softmax(View<const T> x, View<T> out);

/// dx = p * (dp - sum(p * dp)) for p = softmax(x), all (..., N), contiguous and of equal shape.
/// Throws ShapeError.
template <Real T>
void softmax_backward(View<const T> p, View<const T> dp, View<T> dx);

extern template void softmax<float>(View<const float>, View<float>);
extern template void softmax<double>(View<const double>, View<double>);
extern template void softmax_backward<float>(View<const float>, View<const float>, View<float>);
extern template void softmax_backward<double>(View<const double>, View<const double>, View<double>);

}  // namespace rae
