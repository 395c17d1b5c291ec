// Linear layer: y = x W^T + b, as torch.nn.Linear.
#pragma once

#include <cmath>

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

/// Uniform in [-bound, bound) from a stream of its own, so that the values do not depend on what
/// else is initialised.
template <Operand X>
void init_uniform(Parameter<X>& p, double bound, std::uint64_t seed, std::uint64_t stream) {
  if (p.empty()) return;
  using T = typename X::value_type;
  Tensor<T> values(p.shape());
  T* out = values.data();
  const Philox random(seed, stream);
  for (index_t i = 0; i < values.numel(); ++i)
    out[i] = static_cast<T>((2.0 * random.uniform(static_cast<std::uint64_t>(i)) - 1.0) * bound);
  p.set(values);
}

/// Normal with the given standard deviation.
template <Operand X>
void init_normal(Parameter<X>& p, double deviation, std::uint64_t seed, std::uint64_t stream) {
  if (p.empty()) return;
  using T = typename X::value_type;
  Tensor<T> values(p.shape());
  Philox(seed, stream).fill_normal(values.span());
  for (T& value : values.span()) value = static_cast<T>(deviation * static_cast<double>(value));
  p.set(values);
}

}  // namespace rae
