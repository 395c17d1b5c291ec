// Layer normalisation with weight and bias, as torch.nn.LayerNorm. Ba, Kiros, Hinton 2016, "Layer
// Normalization", equation 4.
#pragma once

#include "rae/nn/parameter.hpp"
#include "rae/ops/norm.hpp"

namespace rae {

/// LayerNorm over the last dimension.
template <Operand X>
struct LayerNorm {
  double eps = 1e-6;          ///< added to the variance
  Parameter<X> weight, bias;  // (D)

  LayerNorm() = default;
  /// For rows of `dim` elements.
  LayerNorm(index_t dim, double eps_) : eps(eps_), weight(Shape{dim}), bias(Shape{dim}) {}

  /// The norm of x (..., D), not yet computed: a Linear that takes it computes it as its prologue.
  /// Throws ShapeError.
  Normalized<X> operator()(const X& x) const {
    return normalize(NormParameters<X>{NormKind::layer, eps, weight.value, bias.value}, x);
  }

  /// Calls f(name, parameter) for every parameter.
  template <class F>
  void parameters(F&& f) {
    f("weight", weight);
    f("bias", bias);
  }
};

}  // namespace rae
