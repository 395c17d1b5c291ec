// The feed-forward network of a DiT block. Shazeer 2020, "GLU Variants Improve Transformer",
// equation 6 (SwiGLU); Peebles and Xie 2023 (GELU).
#pragma once

#include "rae/nn/linear.hpp"

namespace rae {

/// Feed-forward network: w3(swiglu(w12 x)) or fc2(gelu(fc1 x)), with hidden width F.
template <Operand X>
struct FeedForward {
  Activation activation = Activation::swiglu;  ///< swiglu or gelu_tanh
  Linear<X> in, out;                           // (2F or F, D), (D, F)

  FeedForward() = default;
  /// F is dim * mlp_ratio, for SwiGLU two thirds of it, rounded down.
  FeedForward(index_t dim, bool use_swiglu, double mlp_ratio)
      : activation(use_swiglu ? Activation::swiglu : Activation::gelu_tanh) {
    const auto wide = static_cast<index_t>(static_cast<double>(dim) * mlp_ratio);
    const index_t hidden =
        use_swiglu ? static_cast<index_t>(2.0 / 3.0 * static_cast<double>(wide)) : wide;
    in = use_swiglu ? Linear<X>(dim, 2 * hidden, true, ParameterUse::swiglu_products)
                    : Linear<X>(dim, hidden);
    out = Linear<X>(hidden, dim);
  }
  /// SwiGLU of hidden width `hidden` = F.
  [[nodiscard]] static FeedForward swiglu(index_t dim, index_t hidden) {
    FeedForward made;
    made.in = Linear<X>(dim, 2 * hidden, true, ParameterUse::swiglu_products);
    made.out = Linear<X>(hidden, dim);
    return made;
  }

  /// (B, T, D) -> (B, T, D), plus the residual if one is given. `x` may be an X or a norm of one
  /// (Normalized), which the first product then computes as its prologue. Throws ShapeError.
  template <class In>
  X operator()(const In& x, const Residual<X>& residual = {}) const {
    return out(in(x, activation), residual);  // (B, T, D) -> (B, T, F) -> (B, T, D)
  }

  /// Calls f(name, parameter) for every parameter.
  template <class F>
  void parameters(F&& f) {
    const bool swiglu = activation == Activation::swiglu;
    visit(swiglu ? "w12." : "fc1.", in, f);
    visit(swiglu ? "w3." : "fc2.", out, f);
  }
};

}  // namespace rae
