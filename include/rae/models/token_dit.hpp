// LightningDiT of RAEv2: the backbone with condition tokens and an output layer without adaLN.
//
// RAEv2 (arXiv 2605.18324), section 3; official classes LightningDiT and LightningDiTIG.
#pragma once

#include <cstdint>
#include <span>

#include "rae/models/token_backbone.hpp"

namespace rae {

/// Sizes of a LightningDiT with condition tokens.
struct TokenDitConfig : TokenBackboneConfig {};

/// An output layer without a condition: a norm, then a projection to p*p*C channels.
template <Operand X>
struct TokenFinalLayer {
  DitNorm<X> norm_final;
  Linear<X> linear_out;  // (p*p*C, h)

  TokenFinalLayer() = default;
  /// From width `dim` = h to `out` channels.
  TokenFinalLayer(index_t dim, index_t out) : norm_final(dim, true), linear_out(dim, out) {}

  /// x (B, N, h) -> (B, N, p*p*C). Throws ShapeError.
  X operator()(const X& x) const { return linear_out(normalize(norm_final(), x)); }

  /// Calls f(name, parameter) for every parameter, with the official names.
  template <class F>
  void parameters(F&& f) {
    visit("norm_final.", norm_final, f);
    visit("linear.", linear_out, f);
  }
};

/// The network: prediction = TokenDit(x_t, t, y).
template <Operand X>
class TokenDit {
 public:
  using T = typename X::value_type;

  /// Weights are zero. Throws ConfigError as TokenBackbone.
  explicit TokenDit(const TokenDitConfig& c)
      : backbone(c), final_layer(c.hidden_size, c.in_channels * c.patch_size * c.patch_size) {
    if (c.base_depth > 0) base_final_layer = final_layer;
  }

  /// See TokenBackbone.
  Conditioning<X> conditioning(const Tensor<T>& t, std::span<const std::int64_t> y) const {
    return backbone.conditioning(t, y);
  }
  /// Number of elements of one row of the conditioning.
  [[nodiscard]] index_t conditioning_size() const noexcept {
    return backbone.config().hidden_size + backbone.tokens_size();
  }

  /// The predictions (k B, C, h, w) for x (B, C, h, w) under k conditions per image. Throws
  /// ShapeError.
  X operator()(const X& x, const Conditioning<X>& c) const { return outputs(x, c, {}).full; }

  /// The same with further outputs. Throws as TokenBackbone.
  NetworkOutputs<X> outputs(const X& x, const Conditioning<X>& c,
                            const WantedOutputs& wanted) const {
    typename TokenBackbone<X>::Features z = backbone(x, c, wanted);
    NetworkOutputs<X> out{backbone.latents(final_layer(z.last))};            // (k B, C, h, w)
    if (wanted.base) out.base = backbone.latents(base_final_layer(z.base));  // (k B, C, h, w)
    out.aligned = std::move(z.aligned);                                      // (k B, N, z)
    return out;
  }

  /// Calls f(name, parameter) for every parameter, with the official names.
  template <class F>
  void parameters(F&& f) {
    visit("x_embedder.proj.", backbone.embedder, f);
    backbone.condition_parameters(f);
    backbone.block_parameters(f);
    visit("final_layer.", final_layer, f);
    if (backbone.config().base_depth > 0) visit("base_final_layer.", base_final_layer, f);
  }

  /// See TokenBackbone.
  void set_checkpointing(bool on) noexcept { backbone.set_checkpointing(on); }

  TokenBackbone<X> backbone;
  TokenFinalLayer<X> final_layer, base_final_layer;  ///< the second only with `base_depth`
};

}  // namespace rae
