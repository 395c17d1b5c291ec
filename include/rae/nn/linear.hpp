// Linear layer: y = x W^T + b, as torch.nn.Linear.
#pragma once

#include "rae/nn/parameter.hpp"

namespace rae {

/// W (N, K) and an optional b (N).
template <Operand X>
struct Linear {
  Parameter<X> weight, bias;

  Linear() = default;
  Linear(index_t in, index_t out, bool with_bias = true, ParameterUse use = ParameterUse::products)
      : weight(Shape{out, in}, use) {
    if (with_bias) bias = Parameter<X>(Shape{out});
  }

  [[nodiscard]] bool empty() const noexcept { return weight.empty(); }

  /// What attention may round this layer's outputs to: bf16 where the weight is stored narrower
  /// than T, else what its products multiply.
  [[nodiscard]] DType operands() const noexcept {
    return weight.packed.stored() == dtype_of<typename X::value_type>() ? weight.operands()
                                                                        : DType::bf16;
  }

  /// y = activation(x W^T + b) for x (..., K), an X or one under a norm: (..., N), or (..., N/2)
  /// with Activation::swiglu. With a residual, residual.x + residual.gate * y.
  template <class In>
  X operator()(const In& x, Activation activation = Activation::none,
               const Residual<X>& residual = {}) const {
    if constexpr (requires { weight.value.view(); }) {
      if (!weight.packed.empty()) return linear(x, weight.packed, bias.value, activation, residual);
    }
    return linear(x, weight.value, bias.value, activation, residual, weight.operands());
  }
  template <class In>
  X operator()(const In& x, const Residual<X>& residual) const {
    return (*this)(x, Activation::none, residual);
  }

  template <class F>
  void parameters(F&& f) {
    f("weight", weight);
    if (!bias.empty()) f("bias", bias);
  }
};

}  // namespace rae
