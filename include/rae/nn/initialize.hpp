// Initial values of parameters, from random streams of their own: PyTorch's defaults and what the
// official modules put in their place.
#pragma once

#include <string>

#include "rae/core/math.hpp"
#include "rae/core/random.hpp"
#include "rae/kernels/rope.hpp"
#include "rae/nn/linear.hpp"

namespace rae {

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

namespace detail {
/// The last part of a parameter's name.
inline std::string last_name(const std::string& name) { return name.substr(name.rfind('.') + 1); }
}  // namespace detail

/// Sets every element.
template <Operand X>
void init_constant(Parameter<X>& p, double value) {
  using T = typename X::value_type;
  if (!p.empty()) p.set(Tensor<T>(p.shape(), static_cast<T>(value)));
}

/// PyTorch's defaults: matrices and their biases uniform within 1/sqrt(fan in), norms 1 and 0,
/// LayerScale 1. Every parameter has a stream of its own, by its place in the model's list.
template <class Model>
void init_default(Model& model, std::uint64_t seed) {
  std::uint64_t stream = 0;
  double bound = 0;  // of the layer whose bias comes next; 0 behind a norm
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

/// The sin-cos table of a grid, behind `prefix` rows of zeros: (1, prefix + N, D).
template <Operand X>
void init_sincos(Parameter<X>& p, index_t grid_h, index_t grid_w) {
  using T = typename X::value_type;
  const Tensor<T> table = sincos_position_table<T>(grid_h, grid_w, p.shape()[2]);  // (N, D)
  Tensor<T> values = Tensor<T>::zeros(p.shape());  // (1, prefix + N, D)
  copy_elements(table.data(), table.numel(), values.data() + values.numel() - table.numel());
  p.set(values);
}

/// Xavier-uniform weight, zero bias.
template <Operand X>
void init_xavier(Linear<X>& linear, std::uint64_t seed, std::uint64_t stream) {
  const Shape s = linear.weight.shape();
  init_uniform(linear.weight, math::sqrt(6.0 / static_cast<double>(s[0] + s[1])), seed, stream);
  init_constant(linear.bias, 0.0);
}

template <Operand X>
void init_zero(Linear<X>& linear) {
  init_constant(linear.weight, 0.0);
  init_constant(linear.bias, 0.0);
}

}  // namespace rae
