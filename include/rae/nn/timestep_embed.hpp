// Embedding of the flow time: Gaussian Fourier features, then an MLP.
//
// Tancik et al. 2020, "Fourier Features Let Networks Learn High Frequency Functions in Low
// Dimensional Domains", section 5; Peebles and Xie 2023, section 3.2. The frequencies are stored in
// the checkpoint.
#pragma once

#include "rae/nn/linear.hpp"
#include "rae/ops/embedding.hpp"

namespace rae {

/// t (B) -> (B, D).
template <Operand X>
struct TimestepEmbed {
  using T = typename X::value_type;
  static constexpr index_t kFrequencies = 256;
  Parameter<X> frequencies;  // (256)
  Linear<X> in, out;

  TimestepEmbed() = default;
  explicit TimestepEmbed(index_t dim)
      : frequencies(Shape{kFrequencies}), in(2 * kFrequencies, dim), out(dim, dim) {}

  X operator()(const Tensor<T>& t) const {
    return out(in(fourier_features(t, frequencies.value), Activation::silu));
  }

  template <class F>
  void parameters(F&& f) {
    f("W", frequencies);
    visit("mlp.0.", in, f);
    visit("mlp.2.", out, f);
  }
};

}  // namespace rae
