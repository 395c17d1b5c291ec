// The feed-forward network of a DiT block. Shazeer 2020, "GLU Variants Improve Transformer",
// equation 6 (SwiGLU); Peebles and Xie 2023 (GELU).
#pragma once

#include "rae/nn/linear.hpp"

namespace rae {

/// Feed-forward network: w3(swiglu(w12 x)) or fc2(gelu(fc1 x)).
template <Operand X>
struct FeedForward {
  Activation activation = Activation::swiglu;
  Linear<X> in, out;

  FeedForward() = default;
  FeedForward(index_t dim, bool use_swiglu, double mlp_ratio)
      : activation(use_swiglu ? Activation::swiglu : Activation::gelu_tanh) {
    const auto wide = static_cast<index_t>(static_cast<double>(dim) * mlp_ratio);
    const index_t hidden =
        use_swiglu ? static_cast<index_t>(2.0 / 3.0 * static_cast<double>(wide)) : wide;
    in = use_swiglu ? Linear<X>(dim, 2 * hidden, true, ParameterUse::swiglu_products)
                    : Linear<X>(dim, hidden);
    out = Linear<X>(hidden, dim);
  }

  /// For x (B, T, D), which may be under a norm: (B, T, D).
  template <class In>
  X operator()(const In& x, const Residual<X>& residual = {}) const {
    return out(in(x, activation), residual);  // (B, T, D) -> (B, T, F) -> (B, T, D)
  }

  template <class F>
  void parameters(F&& f) {
    const bool swiglu = activation == Activation::swiglu;
    visit(swiglu ? "w12." : "fc1.", in, f);
    visit(swiglu ? "w3." : "fc2.", out, f);
  }
};

}  // namespace rae
