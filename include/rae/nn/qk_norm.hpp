// Parameters of the norm of queries and keys (Dehghani et al. 2023, "Scaling Vision Transformers to
// 22 Billion Parameters", section 2).
#pragma once

#include "rae/nn/parameter.hpp"
#include "rae/ops/norm.hpp"

namespace rae {

/// Norm of queries and keys over the head dimension: RMSNorm, or LayerNorm with its affine part and
/// the eps of torch, 1e-5.
template <Operand X>
struct QkNorm {
  bool rms = true;
  Parameter<X> weight, bias;  // (hd)

  QkNorm() = default;
  QkNorm(index_t head_dim, bool use_rmsnorm) : rms(use_rmsnorm), weight(Shape{head_dim}) {
    if (!rms) bias = Parameter<X>(Shape{head_dim});
  }
  [[nodiscard]] bool empty() const noexcept { return weight.empty(); }
  [[nodiscard]] NormParameters<X> operator()() const {
    return {rms ? NormKind::rms : NormKind::layer, rms ? 1e-6 : 1e-5, weight.value, bias.value};
  }
  template <class F>
  void parameters(F&& f) {
    if (empty()) return;
    f("weight", weight);
    if (!bias.empty()) f("bias", bias);
  }
};

}  // namespace rae
