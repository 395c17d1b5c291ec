// The norm of queries and keys (Dehghani et al. 2023, "Scaling Vision Transformers to
// 22 Billion Parameters", section 2).
#pragma once

#include "rae/nn/parameter.hpp"
#include "rae/ops/norm.hpp"

namespace rae {

/// Norm of queries or keys over the head dimension hd: RMSNorm with eps 1e-6, or LayerNorm with
/// weight and bias and the eps of PyTorch, 1e-5.
template <Operand X>
struct QkNorm {
  bool rms = true;            ///< RMSNorm, else LayerNorm
  Parameter<X> weight, bias;  // (hd), (hd); no bias for RMSNorm

  QkNorm() = default;
  /// For heads of `head_dim` elements.
  QkNorm(index_t head_dim, bool use_rmsnorm) : rms(use_rmsnorm), weight(Shape{head_dim}) {
    if (!rms) bias = Parameter<X>(Shape{head_dim});
  }
  /// True for a default-constructed norm: the model has none.
  [[nodiscard]] bool empty() const noexcept { return weight.empty(); }
  /// The parameters, as `qk_norm` takes them.
  [[nodiscard]] NormParameters<X> operator()() const {
    return {rms ? NormKind::rms : NormKind::layer, rms ? 1e-6 : 1e-5, weight.value, bias.value};
  }
  /// Calls f(name, parameter) for every parameter.
  template <class F>
  void parameters(F&& f) {
    if (empty()) return;
    f("weight", weight);
    if (!bias.empty()) f("bias", bias);
  }
};

}  // namespace rae
