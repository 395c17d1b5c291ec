// The orthogonal factor of a matrix by a Newton-Schulz iteration, and the step of Muon.
//
// Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; coefficients:
// Amsel et al. 2025, "The Polar Express"; the scale of the step: Liu et al. 2025, "Muon is Scalable
// for LLM Training", section 2.2. As in the optimizer of RAEv2 (arXiv 2605.18324),
// gram-newton-schulz 0.1.1, without its low-precision casts.
#pragma once

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// out (M, N) = nearly U V^T for the singular value decomposition U S V^T of `matrix` (M, N): five
/// steps X = a X + (b A + c A^2) X with A = X X^T, from X = matrix / (norm + 1e-7), on the
/// transpose where M > N. Singular values end near 1, not at 1. Does not depend on the number of
/// threads. Throws ShapeError.
template <Real T>
void orthogonalize(View<const T> matrix, View<T> out);

/// Hyper-parameters of Muon; the defaults are those of RAEv2.
struct MuonOptions {
  double lr = 2e-4, momentum = 0.95, weight_decay = 0.0;
  bool nesterov = true;  ///< the update looks ahead by one step of the momentum
};

/// One update of a matrix `param` (R, C), which consists of `parts` matrices of R / parts rows,
/// each orthogonalised by itself: momentum = mu * momentum + g with g = grad * grad_scale; u = g +
/// mu * momentum, or without `nesterov` the momentum; param -= lr * 0.2 * sqrt(max(R / parts, C)) *
/// orthogonalize(u), after the decay param *= 1 - lr * weight_decay. All arrays contiguous, of
/// equal shapes. Throws ShapeError, ArgumentError for parts that do not divide R.
template <Real T>
void muon_step(View<T> param, View<const T> grad, View<T> momentum, index_t parts,
               const MuonOptions& options, double grad_scale = 1.0);

extern template void orthogonalize<float>(View<const float>, View<float>);
extern template void orthogonalize<double>(View<const double>, View<double>);
extern template void muon_step<float>(View<float>, View<const float>, View<float>, index_t,
                                      const MuonOptions&, double);
extern template void muon_step<double>(View<double>, View<const double>, View<double>, index_t,
                                       const MuonOptions&, double);

}  // namespace rae
