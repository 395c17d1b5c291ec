// The LightningDiT block: attention and feed-forward with adaLN-zero conditioning, shared by the
// DiT backbone and the DDT head.
//
// Peebles and Xie 2023, section 3.2 (adaLN-zero); Yao et al. 2025, "LightningDiT" (RMSNorm, SwiGLU,
// RoPE); Diffusion Transformers with Representation Autoencoders, section 4.
#pragma once

#include <vector>

#include "rae/core/shared.hpp"
#include "rae/nn/dit_norm.hpp"
#include "rae/nn/feed_forward.hpp"
#include "rae/nn/linear.hpp"
#include "rae/nn/outline.hpp"
#include "rae/nn/qk_norm.hpp"
#include "rae/ops/attention.hpp"

namespace rae {

/// Options that all blocks of a model share.
struct DitBlockOptions {
  bool use_swiglu = true;   ///< SwiGLU feed-forward, else GELU (tanh)
  bool use_rmsnorm = true;  ///< RMSNorm with a weight, else LayerNorm without parameters; eps 1e-6
  bool use_qknorm = false;  ///< norm of queries and keys per head, before RoPE
  double mlp_ratio = 4.0;   ///< hidden width / model width; with SwiGLU, two thirds of that
  bool use_adaln = true;    ///< modulated by a condition, else called by `plain` (RAEv2)
  index_t mlp_hidden = 0;   ///< hidden width of SwiGLU in place of that of `mlp_ratio`; 0: not used
};

/// The part of a network's computation that depends only on time and label, with one row for each
/// pair (t, y).
template <Operand X>
struct Conditioning {
  X time;                     // (B, h); empty if the model does not use it
  std::vector<X> modulation;  // (B, 6h) for each block that is conditioned per image, then (B, 2h)
                              // for the output layer if it is
  X tokens{};                 // (B, n*h): n tokens that follow the patches; empty if there are none
};

/// The RoPE table of a grid for heads of this width. Empty for an Outline, whose configuration may
/// be invalid and so large that the table would exhaust the memory.
template <Operand X>
[[nodiscard]] Shared<const RopeTable<typename X::value_type>> shared_rope_table(index_t grid_h,
                                                                                index_t grid_w,
                                                                                index_t head_dim) {
  using T = typename X::value_type;
  if constexpr (std::same_as<X, Outline>)
    return {};
  else
    return Shared<const RopeTable<T>>::make(make_rope_table<T>(grid_h, grid_w, head_dim));
}

/// One block. The condition c has one row per image, (B, D), or per token, (B, T, D).
template <Operand X>
struct DitBlock {
  index_t heads = 1;
  DitNorm<X> norm1, norm2;
  Linear<X> qkv, proj, adaln;  // (3D, D), (D, D), (6D, D)
  QkNorm<X> q_norm, k_norm;
  FeedForward<X> mlp;

  DitBlock() = default;
  /// Of width `dim` = D. Throws ConfigError unless `heads_` divides it.
  DitBlock(index_t dim, index_t heads_, const DitBlockOptions& o)
      : heads(heads_),
        norm1(dim, o.use_rmsnorm),
        norm2(dim, o.use_rmsnorm),
        qkv(dim, 3 * dim),
        proj(dim, dim),
        mlp(o.mlp_hidden > 0 ? FeedForward<X>::swiglu(dim, o.mlp_hidden)
                             : FeedForward<X>(dim, o.use_swiglu, o.mlp_ratio)) {
    if (o.use_adaln) adaln = Linear<X>(dim, 6 * dim);
    if (dim % heads != 0)
      raise<ConfigError>("DitBlock: width ", dim, " does not divide into ", heads, " heads");
    if (o.use_qknorm) {
      q_norm = QkNorm<X>(dim / heads, o.use_rmsnorm);
      k_norm = QkNorm<X>(dim / heads, o.use_rmsnorm);
    }
  }

  /// Shifts, scales and gates (B, [T,] 6D) for the condition c (B, [T,] D).
  X modulation(const X& c) const { return adaln(silu(c)); }

  /// The block for x (B, T, D) and the condition c: (B, T, D). `rope` may be null. Throws
  /// ShapeError.
  X operator()(const X& x, const X& c, const RopeTable<typename X::value_type>* rope) const {
    return modulated(x, modulation(c), rope);
  }

  /// The block for x (B, T, D) and its modulation m (B, [T,] 6D): (B, T, D). Throws ShapeError.
  X modulated(const X& x, const X& m, const RopeTable<typename X::value_type>* rope) const {
    const auto [shift1, scale1, gate1, shift2, scale2, gate2] = chunk<6>(m);  // (B, [T,] D) each
    const X h = proj(attend(norm_modulate(norm1(), x, shift1, scale1), rope),
                     Residual{x, gate1});                                       // (B, T, D)
    return mlp(norm_modulate(norm2(), h, shift2, scale2), Residual{h, gate2});  // (B, T, D)
  }

  /// The block without a condition, x += attn(norm1(x)), x += mlp(norm2(x)), for x (B, T, D): (B,
  /// T, D). Throws ShapeError.
  X plain(const X& x, const RopeTable<typename X::value_type>* rope) const {
    const X h = proj(attend(normalize(norm1(), x), rope), Residual{x});  // (B, T, D)
    return mlp(normalize(norm2(), h), Residual{h});                      // (B, T, D)
  }

  /// Calls f(name, parameter) for every parameter, with the official names.
  template <class F>
  void parameters(F&& f) {
    visit("norm1.", norm1, f);
    visit("norm2.", norm2, f);
    visit("attn.qkv.", qkv, f);
    visit("attn.q_norm.", q_norm, f);
    visit("attn.k_norm.", k_norm, f);
    visit("attn.proj.", proj, f);
    visit("mlp.", mlp, f);
    if (!adaln.empty()) visit("adaLN_modulation.1.", adaln, f);
  }

 private:
  // Attention, before its projection, for a norm of x (B, T, D): (B, T, D).
  X attend(const Normalized<X>& x, const RopeTable<typename X::value_type>* rope) const {
    X heads_in = qkv(x);  // (B, T, 3D)
    if (!q_norm.empty())
      heads_in = qk_norm(q_norm(), k_norm(), heads_in, x.x.shape()[2] / heads);  // (B, T, 3D)
    return attention(heads_in, heads, rope, qkv.operands());                     // (B, T, D)
  }
};

/// The output layer: a modulated norm, then a projection to C channels.
template <Operand X>
struct DitFinalLayer {
  DitNorm<X> norm_final;
  Linear<X> linear_out, adaln;  // (C, D), (2D, D)

  DitFinalLayer() = default;
  /// From width `dim` = D to `out` = C channels.
  DitFinalLayer(index_t dim, index_t out, bool use_rmsnorm)
      : norm_final(dim, use_rmsnorm), linear_out(dim, out), adaln(dim, 2 * dim) {}

  /// Shift and scale (B, [T,] 2D) for the condition c (B, [T,] D).
  X modulation(const X& c) const { return adaln(silu(c)); }

  /// The layer for x (B, T, D) and the condition c: (B, T, C). Throws ShapeError.
  X operator()(const X& x, const X& c) const { return modulated(x, modulation(c)); }

  /// The layer for x (B, T, D) and its modulation m (B, [T,] 2D): (B, T, C). Throws ShapeError.
  X modulated(const X& x, const X& m) const {
    const auto [shift, scale] = chunk<2>(m);                          // (B, [T,] D) each
    return linear_out(norm_modulate(norm_final(), x, shift, scale));  // (B, T, C)
  }

  /// Calls f(name, parameter) for every parameter, with the official names.
  template <class F>
  void parameters(F&& f) {
    visit("norm_final.", norm_final, f);
    visit("linear.", linear_out, f);
    visit("adaLN_modulation.1.", adaln, f);
  }
};

}  // namespace rae
