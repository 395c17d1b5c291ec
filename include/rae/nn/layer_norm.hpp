// Layer normalisation with an affine part, as torch.nn.LayerNorm. Ba, Kiros, Hinton 2016, "Layer
// Normalization", equation 4.
#pragma once

#include "rae/nn/parameter.hpp"
#include "rae/ops/norm.hpp"

namespace rae {

/// LayerNorm with its affine part.
template <Operand X>
struct LayerNorm {
  double eps = 1e-6;
  Parameter<X> weight, bias;  // (D)

  LayerNorm() = default;
  LayerNorm(index_t dim, double eps_) : eps(eps_), weight(Shape{dim}), bias(Shape{dim}) {}

  Normalized<X> operator()(const X& x) const {
    return normalize(NormParameters<X>{NormKind::layer, eps, weight.value, bias.value}, x);
  }

  template <class F>
  void parameters(F&& f) {
    f("weight", weight);
    f("bias", bias);
  }
};

}  // namespace rae
