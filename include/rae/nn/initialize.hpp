// Initial values of parameters: PyTorch's defaults, and the distributions with which the official
// modules replace them. Every parameter has its own random stream.
#pragma once

#include <string>

#include "rae/core/math.hpp"
#include "rae/core/random.hpp"
#include "rae/kernels/rope.hpp"
#include "rae/nn/linear.hpp"

namespace rae {

/// Uniform in [-bound, bound). `stream` should be used by no other parameter, so that the values do
/// not depend on the rest of the model. Does nothing for an empty parameter.
template <Operand X>
void init_uniform(Parameter<X>& p, double bound, std::uint64_t seed, std::uint64_t stream) {
  if (p.empty()) return;
  using T = typename X::value_type;
  Tensor<T> values(p.shape());  // as p
  T* out = values.data();
  const Philox random(seed, stream);
  for (index_t i = 0; i < values.numel(); ++i)
    out[i] = static_cast<T>((2.0 * random.uniform(static_cast<std::uint64_t>(i)) - 1.0) * bound);
  p.set(values);
}

/// Normal with mean 0 and the given standard deviation. Does nothing for an empty parameter.
template <Operand X>
void init_normal(Parameter<X>& p, double deviation, std::uint64_t seed, std::uint64_t stream) {
  if (p.empty()) return;
  using T = typename X::value_type;
  Tensor<T> values(p.shape());  // as p
  Philox(seed, stream).fill_normal(values.span());
  for (T& value : values.span()) value = static_cast<T>(deviation * static_cast<double>(value));
  p.set(values);
}

namespace detail {
/// The part of a parameter's name after the last dot.
inline std::string last_name(const std::string& name) { return name.substr(name.rfind('.') + 1); }
}  // namespace detail

/// Sets every element to `value`. Does nothing for an empty parameter.
template <Operand X>
void init_constant(Parameter<X>& p, double value) {
  using T = typename X::value_type;
  if (!p.empty()) p.set(Tensor<T>(p.shape(), static_cast<T>(value)));
}

/// PyTorch's defaults: matrices and their biases uniform in +-1/sqrt(fan in), norms with weight 1
/// and bias 0, LayerScale 1. Parameters of rank 3 and more stay as they are. The stream of a
/// parameter is its position in the model's list, from 1 on.
template <class Model>
void init_default(Model& model, std::uint64_t seed) {
  std::uint64_t stream = 0;
  double bound = 0;  // for the next bias: that of the matrix before it, or 0 after a norm
  model.parameters([&](const std::string& name, auto& p) {
    ++stream;
    if (p.empty()) return;
    if (p.shape().rank() == 2) {
      bound = 1.0 / math::sqrt(static_cast<double>(p.shape()[1]));
      init_uniform(p, bound, seed, stream);
    } else if (detail::last_name(name) == "bias") {
      init_uniform(p, bound, seed, stream);
    } else if (p.shape().rank() == 1) {
      bound = 0;
      init_constant(p, 1.0);
    }
  });
}

/// Sets a position table (1, prefix + N, D) to `prefix` rows of zeros, for prefix tokens, followed
/// by the sin-cos table of the grid, where N = grid_h * grid_w.
template <Operand X>
void init_sincos(Parameter<X>& p, index_t grid_h, index_t grid_w) {
  using T = typename X::value_type;
  const Tensor<T> table = sincos_position_table<T>(grid_h, grid_w, p.shape()[2]);  // (N, D)
  Tensor<T> values = Tensor<T>::zeros(p.shape());  // (1, prefix + N, D)
  copy_elements(table.data(), table.numel(), values.data() + values.numel() - table.numel());
  p.set(values);
}

/// Xavier-uniform weight, +-sqrt(6 / (fan in + fan out)), and zero bias (Glorot and Bengio 2010,
/// equation 16).
template <Operand X>
void init_xavier(Linear<X>& linear, std::uint64_t seed, std::uint64_t stream) {
  const Shape s = linear.weight.shape();
  init_uniform(linear.weight, math::sqrt(6.0 / static_cast<double>(s[0] + s[1])), seed, stream);
  init_constant(linear.bias, 0.0);
}

/// Zero weight and bias.
template <Operand X>
void init_zero(Linear<X>& linear) {
  init_constant(linear.weight, 0.0);
  init_constant(linear.bias, 0.0);
}

}  // namespace rae
