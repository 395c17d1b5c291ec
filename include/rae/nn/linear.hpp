// Linear layer: y = x W^T + b, as torch.nn.Linear.
#pragma once

#include "rae/nn/parameter.hpp"

namespace rae {

/// A matrix product with an optional bias.
template <Operand X>
struct Linear {
  Parameter<X> weight, bias;  // (N, K), (N) or empty

  Linear() = default;
  /// From `in` = K to `out` = N features. `use` must be swiglu_products for a layer that is packed
  /// and called with Activation::swiglu.
  Linear(index_t in, index_t out, bool with_bias = true, ParameterUse use = ParameterUse::products)
      : weight(Shape{out, in}, use) {
    if (with_bias) bias = Parameter<X>(Shape{out});
  }

  /// True for a default-constructed layer.
  [[nodiscard]] bool empty() const noexcept { return weight.empty(); }

  /// The type to which attention may round the outputs of this layer: bf16 if the weight is stored
  /// in a narrower type than T, else the operand type of this layer's products.
  [[nodiscard]] DType operands() const noexcept {
    return weight.packed.stored() == dtype_of<typename X::value_type>() ? weight.operands()
                                                                        : DType::bf16;
  }

  /// y = activation(x W^T + b) for x (..., K): (..., N), or (..., N/2) with Activation::swiglu.
  /// With a residual, residual.x + residual.gate * y. `x` may be an X or a norm of one
  /// (Normalized), which is computed as the prologue of the product. Throws ShapeError, and
  /// ArgumentError for a packed weight with the wrong use.
  template <class In>
  X operator()(const In& x, Activation activation = Activation::none,
               const Residual<X>& residual = {}) const {
    if constexpr (requires { weight.value.view(); }) {
      if (!weight.packed.empty()) return linear(x, weight.packed, bias.value, activation, residual);
    }
    return linear(x, weight.operand(), bias.value, activation, residual, weight.operands());
  }
  /// The same without an activation.
  template <class In>
  X operator()(const In& x, const Residual<X>& residual) const {
    return (*this)(x, Activation::none, residual);
  }

  /// Calls f(name, parameter) for every parameter.
  template <class F>
  void parameters(F&& f) {
    f("weight", weight);
    if (!bias.empty()) f("bias", bias);
  }
};

}  // namespace rae
