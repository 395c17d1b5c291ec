// The LightningDiT block: attention and feed-forward with adaLN-zero conditioning, shared by the
// DiT backbone and the DDT head.
//
// Peebles and Xie 2023, section 3.2 (adaLN-zero); Yao et al. 2025, "LightningDiT" (RMSNorm, SwiGLU,
// RoPE); Diffusion Transformers with Representation Autoencoders, section 4.
#pragma once

#include <memory>
#include <vector>

#include "rae/nn/linear.hpp"
#include "rae/nn/outline.hpp"
#include "rae/ops/attention.hpp"
#include "rae/ops/norm.hpp"
#include "rae/ops/qk_norm.hpp"

namespace rae {

/// The choices that all blocks of a model share.
struct DitBlockOptions {
  bool use_swiglu = true;   ///< SwiGLU feed-forward, else GELU (tanh)
  bool use_rmsnorm = true;  ///< RMSNorm with a weight, else LayerNorm without affine part; eps 1e-6
  bool use_qknorm = false;  ///< norm of queries and keys per head, before the rotation
  double mlp_ratio = 4.0;   ///< hidden width over model width; SwiGLU takes two thirds of it
};

/// Norm with the parameters that the options imply.
template <Operand X>
struct DitNorm {
  bool rms = true;
  Parameter<X> weight;  // (D)

  DitNorm() = default;
  DitNorm(index_t dim, bool use_rmsnorm) : rms(use_rmsnorm) {
    if (rms) weight = Parameter<X>(Shape{dim});
  }
  [[nodiscard]] NormParameters<X> operator()() const {
    return {rms ? NormKind::rms : NormKind::layer, 1e-6, weight.value, {}};
  }
  template <class F>
  void parameters(F&& f) {
    if (rms) f("weight", weight);
  }
};

/// Norm of queries and keys over the head dimension: RMSNorm, or LayerNorm with its affine part and
/// the eps of torch, 1e-5.
template <Operand X>
struct QkNorm {
  bool rms = true;
  Parameter<X> weight, bias;  // (hd)

  QkNorm() = default;
  QkNorm(index_t head_dim, bool use_rmsnorm) : rms(use_rmsnorm), weight(Shape{head_dim}) {
    if (!rms) bias = Parameter<X>(Shape{head_dim});
  }
  [[nodiscard]] bool empty() const noexcept { return weight.empty(); }
  [[nodiscard]] NormParameters<X> operator()() const {
    return {rms ? NormKind::rms : NormKind::layer, rms ? 1e-6 : 1e-5, weight.value, bias.value};
  }
  template <class F>
  void parameters(F&& f) {
    if (empty()) return;
    f("weight", weight);
    if (!bias.empty()) f("bias", bias);
  }
};

/// Feed-forward network: w3(swiglu(w12 x)) or fc2(gelu(fc1 x)).
template <Operand X>
struct DitMlp {
  Activation activation = Activation::swiglu;
  Linear<X> in, out;

  DitMlp() = default;
  DitMlp(index_t dim, const DitBlockOptions& o)
      : activation(o.use_swiglu ? Activation::swiglu : Activation::gelu_tanh) {
    const auto wide = static_cast<index_t>(static_cast<double>(dim) * o.mlp_ratio);
    const index_t hidden =
        o.use_swiglu ? static_cast<index_t>(2.0 / 3.0 * static_cast<double>(wide)) : wide;
    in = o.use_swiglu ? Linear<X>(dim, 2 * hidden, true, ParameterUse::swiglu_products)
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

/// The part of a network's computation that depends only on time and label: one row for each pair
/// of them.
template <Operand X>
struct Conditioning {
  X time;                     // (B, h); empty where the model does not use it
  std::vector<X> modulation;  // (B, 6h) for each block that is conditioned on vectors, then (B, 2h)
                              // for an output layer that is
};

/// The table of rotary positions of a grid, for heads of this width; none for an outline, which
/// must not take memory for a configuration that may be absurd.
template <Operand X>
[[nodiscard]] std::shared_ptr<const RopeTable<typename X::value_type>> shared_rope_table(
    index_t grid_h, index_t grid_w, index_t head_dim) {
  using T = typename X::value_type;
  if constexpr (std::same_as<X, Outline>)
    return nullptr;
  else
    return std::make_shared<RopeTable<T>>(make_rope_table<T>(grid_h, grid_w, head_dim));
}

/// One block. Conditioning c has one row per image, (B, D), or per token, (B, T, D).
template <Operand X>
struct DitBlock {
  index_t heads = 1;
  DitNorm<X> norm1, norm2;
  Linear<X> qkv, proj, adaln;
  QkNorm<X> q_norm, k_norm;
  DitMlp<X> mlp;

  DitBlock() = default;
  DitBlock(index_t dim, index_t heads_, const DitBlockOptions& o)
      : heads(heads_),
        norm1(dim, o.use_rmsnorm),
        norm2(dim, o.use_rmsnorm),
        qkv(dim, 3 * dim),
        proj(dim, dim),
        adaln(dim, 6 * dim),
        mlp(dim, o) {
    if (dim % heads != 0)
      raise<ConfigError>("DitBlock: width ", dim, " does not divide into ", heads, " heads");
    if (o.use_qknorm) {
      q_norm = QkNorm<X>(dim / heads, o.use_rmsnorm);
      k_norm = QkNorm<X>(dim / heads, o.use_rmsnorm);
    }
  }

  /// Shifts, scales and gates that the condition c asks for: (B, [T,] 6D).
  X modulation(const X& c) const { return adaln(silu(c)); }

  X operator()(const X& x, const X& c, const RopeTable<typename X::value_type>* rope) const {
    return modulated(x, modulation(c), rope);
  }

  /// The block on x (B, T, D) under a modulation m (B, [T,] 6D): (B, T, D).
  X modulated(const X& x, const X& m, const RopeTable<typename X::value_type>* rope) const {
    const auto [shift1, scale1, gate1, shift2, scale2, gate2] = chunk<6>(m);  // (B, [T,] D) each
    X heads_in = qkv(norm_modulate(norm1(), x, shift1, scale1));              // (B, T, 3D)
    if (!q_norm.empty())
      heads_in = qk_norm(q_norm(), k_norm(), heads_in, x.shape()[2] / heads);  // (B, T, 3D)
    const X h =
        proj(attention(heads_in, heads, rope, qkv.operands()), Residual{x, gate1});  // (B, T, D)
    return mlp(norm_modulate(norm2(), h, shift2, scale2), Residual{h, gate2});       // (B, T, D)
  }

  template <class F>
  void parameters(F&& f) {
    visit("norm1.", norm1, f);
    visit("norm2.", norm2, f);
    visit("attn.qkv.", qkv, f);
    visit("attn.q_norm.", q_norm, f);
    visit("attn.k_norm.", k_norm, f);
    visit("attn.proj.", proj, f);
    visit("mlp.", mlp, f);
    visit("adaLN_modulation.1.", adaln, f);
  }
};

/// The output layer: modulated norm, then a projection to the latent's channels.
template <Operand X>
struct DitFinalLayer {
  DitNorm<X> norm_final;
  Linear<X> linear_out, adaln;

  DitFinalLayer() = default;
  DitFinalLayer(index_t dim, index_t out, bool use_rmsnorm)
      : norm_final(dim, use_rmsnorm), linear_out(dim, out), adaln(dim, 2 * dim) {}

  /// Shift and scale that the condition c asks for: (B, [T,] 2D).
  X modulation(const X& c) const { return adaln(silu(c)); }

  X operator()(const X& x, const X& c) const { return modulated(x, modulation(c)); }

  /// The layer on x (B, T, D) under a modulation m (B, [T,] 2D): (B, T, C).
  X modulated(const X& x, const X& m) const {
    const auto [shift, scale] = chunk<2>(m);                          // (B, [T,] D) each
    return linear_out(norm_modulate(norm_final(), x, shift, scale));  // (B, T, C)
  }

  template <class F>
  void parameters(F&& f) {
    visit("norm_final.", norm_final, f);
    visit("linear.", linear_out, f);
    visit("adaLN_modulation.1.", adaln, f);
  }
};

}  // namespace rae
