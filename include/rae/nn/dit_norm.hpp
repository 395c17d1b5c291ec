// The norm of DiT blocks: LayerNorm without weight and bias (Peebles and Xie 2023, section 3.2), or
// RMSNorm with a weight (Yao et al. 2025, LightningDiT).
#pragma once

#include "rae/nn/parameter.hpp"
#include "rae/ops/norm.hpp"

namespace rae {

/// LayerNorm without parameters or RMSNorm with a weight, over the last dimension; eps 1e-6.
template <Operand X>
struct DitNorm {
  bool rms = true;      ///< RMSNorm, else LayerNorm
  Parameter<X> weight;  // (D); empty for LayerNorm

  DitNorm() = default;
  /// For rows of `dim` elements.
  DitNorm(index_t dim, bool use_rmsnorm) : rms(use_rmsnorm) {
    if (rms) weight = Parameter<X>(Shape{dim});
  }
  /// The parameters, as `normalize` and `norm_modulate` take them.
  [[nodiscard]] NormParameters<X> operator()() const {
    return {rms ? NormKind::rms : NormKind::layer, 1e-6, weight.value, {}};
  }
  /// Calls f(name, parameter) for every parameter.
  template <class F>
  void parameters(F&& f) {
    if (rms) f("weight", weight);
  }
};

}  // namespace rae
