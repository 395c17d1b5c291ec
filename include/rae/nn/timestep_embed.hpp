// Embeddings of the flow time (Gaussian Fourier features, then an MLP) and of the class label.
//
// Tancik et al. 2020 (random Fourier features); DiT, section 3.2. The frequencies are stored in the
// checkpoint.
#pragma once

#include "rae/nn/linear.hpp"

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

/// y (B) -> (B, D); with label dropout there is one more row, the null class, behind the others.
template <Operand X>
struct LabelEmbed {
  Parameter<X> table;  // (classes [+ 1], D)

  LabelEmbed() = default;
  LabelEmbed(index_t classes, bool null_class, index_t dim)
      : table(Shape{classes + (null_class ? 1 : 0), dim}) {}

  X operator()(std::span<const std::int64_t> y) const { return embedding(table.value, y); }

  template <class F>
  void parameters(F&& f) {
    f("embedding_table.weight", table);
  }
};

}  // namespace rae
