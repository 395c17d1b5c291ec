// Embedding of the flow time: Gaussian Fourier features, then an MLP.
//
// Tancik et al. 2020, "Fourier Features Let Networks Learn High Frequency Functions in Low
// Dimensional Domains", section 5; Peebles and Xie 2023, section 3.2. The frequencies are stored in
// the checkpoint.
#pragma once

#include "rae/nn/linear.hpp"
#include "rae/ops/embedding.hpp"

namespace rae {

/// Gaussian Fourier features and two linear layers with SiLU between them.
template <Operand X>
struct TimestepEmbed {
  using T = typename X::value_type;
  static constexpr index_t kFrequencies = 256;  ///< each gives a cosine and a sine
  Parameter<X> frequencies;                     // (256)
  Linear<X> in, out;                            // (D, 512), (D, D)

  TimestepEmbed() = default;
  /// `dim` is D.
  explicit TimestepEmbed(index_t dim)
      : frequencies(Shape{kFrequencies}), in(2 * kFrequencies, dim), out(dim, dim) {}

  /// Flow times t (B) in [0, 1] -> (B, D).
  X operator()(const Tensor<T>& t) const {
    return out(in(fourier_features(t, frequencies.value), Activation::silu));
  }

  /// Calls f(name, parameter) for every parameter.
  template <class F>
  void parameters(F&& f) {
    f("W", frequencies);
    visit("mlp.0.", in, f);
    visit("mlp.2.", out, f);
  }
};

}  // namespace rae
