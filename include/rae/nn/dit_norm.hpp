// The norm of DiT blocks: LayerNorm without an affine part (Peebles and Xie 2023, section 3.2), or
// RMSNorm with a weight (Yao et al. 2025, LightningDiT).
#pragma once

#include "rae/nn/parameter.hpp"
#include "rae/ops/norm.hpp"

namespace rae {

/// Norm with the parameters that the options imply.
template <Operand X>
struct DitNorm {
  bool rms = true;
  Parameter<X> weight;  // (D)

  DitNorm() = default;
  DitNorm(index_t dim, bool use_rmsnorm) : rms(use_rmsnorm) {
    if (rms) weight = Parameter<X>(Shape{dim});
  }
  [[nodiscard]] NormParameters<X> operator()() const {
    return {rms ? NormKind::rms : NormKind::layer, 1e-6, weight.value, {}};
  }
  template <class F>
  void parameters(F&& f) {
    if (rms) f("weight", weight);
  }
};

}  // namespace rae
