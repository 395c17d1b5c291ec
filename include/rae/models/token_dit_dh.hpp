// DiT^DH of RAEv2: the backbone with condition tokens, and a wide head conditioned per token on the
// time and the backbone's output.
//
// RAEv2 (arXiv 2605.18324), section 3; official classes DiTwDDTHead and DiTwDDTHeadIG. The head is
// that of Diffusion Transformers with Representation Autoencoders, section 5.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "rae/models/token_backbone.hpp"

namespace rae {

/// Sizes of a DiT^DH with condition tokens.
struct TokenDitDhConfig : TokenBackboneConfig {
  index_t head_hidden_size = 2048, head_depth = 2, head_num_heads = 16;  ///< of the head
};

/// The network: prediction = TokenDitDh(x_t, t, y). In shapes, h and d are the widths of backbone
/// and head.
template <Operand X>
class TokenDitDh {
 public:
  using T = typename X::value_type;

  /// Weights are zero. Throws ConfigError as TokenBackbone.
  explicit TokenDitDh(const TokenDitDhConfig& c) : encoder(c), config_(c) {
    const index_t d = c.head_hidden_size, out = c.in_channels * c.patch_size * c.patch_size;
    x_embedder = Linear<X>(out, d);
    if (c.hidden_size != d) s_projector = Linear<X>(c.hidden_size, d);
    for (index_t i = 0; i < c.head_depth; ++i)
      blocks.emplace_back(d, c.head_num_heads, c.block(d, true));
    final_layer = DitFinalLayer<X>(d, out, true);
    if (c.base_depth > 0) base_final_layer = DitFinalLayer<X>(c.hidden_size, out, true);
    rope_ = shared_rope_table<X>(c.rows(), c.columns(), d / c.head_num_heads);
  }

  /// See TokenBackbone.
  Conditioning<X> conditioning(const Tensor<T>& t, std::span<const std::int64_t> y) const {
    return encoder.conditioning(t, y);
  }
  /// Number of elements of one row of the conditioning.
  [[nodiscard]] index_t conditioning_size() const noexcept {
    return config_.hidden_size + encoder.tokens_size();
  }

  /// The predictions (k B, C, h, w) for x (B, C, h, w) under k conditions per image. Throws
  /// ShapeError.
  X operator()(const X& x, const Conditioning<X>& c) const { return outputs(x, c, {}).full; }

  /// The same with further outputs. The base head sees u = silu(time + tokens) of its layer, as
  /// input and as condition. Throws as TokenBackbone.
  NetworkOutputs<X> outputs(const X& x, const Conditioning<X>& c,
                            const WantedOutputs& wanted) const {
    typename TokenBackbone<X>::Features z = encoder(x, c, wanted);
    NetworkOutputs<X> out{predict(x, z.last, c)};  // (k B, C, h, w)
    if (wanted.base) {
      const X u = silu(add_per_image(z.base, c.time));     // (k B, N, h)
      out.base = encoder.latents(base_final_layer(u, u));  // (k B, C, h, w)
    }
    out.aligned = std::move(z.aligned);  // (k B, N, z)
    return out;
  }

  /// The backbone's output (k B, N, h) for the elements of the latents as tokens (B, H*W, C),
  /// before the time is added to it. Adjacent sampling steps may share it.
  X backbone(const X& tokens, const Conditioning<X>& c) const {
    return encoder(tokens_to_grid(tokens, config_.input_h, config_.input_w), c, {}).last;
  }
  /// The predictions (k B, C, h, w) for tokens (B, H*W, C) and the backbone's output s (k B, N, h).
  X velocity(const X& tokens, const X& s, const Conditioning<X>& c) const {
    const index_t patches = config_.rows() * config_.columns();
    return predict(tokens_to_grid(tokens, config_.input_h, config_.input_w),
                   reshape(s, {c.time.shape()[0], patches, config_.hidden_size}), c);
  }

  /// Calls f(name, parameter) for every parameter, with names like the official ones; see
  /// `token_dit_names`.
  template <class F>
  void parameters(F&& f) {
    visit("s_embedder.proj.", encoder.embedder, f);
    visit("x_embedder.proj.", x_embedder, f);
    if (!s_projector.empty()) visit("s_projector.", s_projector, f);
    encoder.condition_parameters(f);
    encoder.block_parameters(f);
    for (std::size_t i = 0; i < blocks.size(); ++i)
      visit("blocks." + std::to_string(encoder.blocks.size() + i) + ".", blocks[i], f);
    visit("final_layer.", final_layer, f);
    if (config_.base_depth > 0) visit("base_final_layer.", base_final_layer, f);
  }

  /// The configuration given to the constructor.
  [[nodiscard]] const TokenDitDhConfig& config() const noexcept { return config_; }
  /// See TokenBackbone.
  void set_checkpointing(bool on) noexcept { encoder.set_checkpointing(on); }

  TokenBackbone<X> encoder;                        ///< the backbone
  Linear<X> x_embedder, s_projector;               // (d, C*p*p), (d, h) or empty
  std::vector<DitBlock<X>> blocks;                 ///< of the head
  DitFinalLayer<X> final_layer, base_final_layer;  ///< the second only with `base_depth`

 private:
  // The head for x (B, C, H, W) and the backbone's output s (k B, N, h): (k B, C, H, W).
  X predict(const X& x, const X& s, const Conditioning<X>& c) const {
    const X sum = silu(add_per_image(s, c.time));                      // (k B, N, h)
    const X condition = s_projector.empty() ? sum : s_projector(sum);  // (k B, N, d)
    X z = repeat(x_embedder(patchify(x, config_.patch_size)),
                 condition.shape()[0] / x.shape()[0]);                     // (k B, N, d)
    for (const DitBlock<X>& block : blocks) z = run(block, z, condition);  // (k B, N, d)
    return encoder.latents(final_layer(z, condition));
  }

  // A block of the head for x (B, N, d) and the condition c (B, N, d): (B, N, d).
  X run(const DitBlock<X>& block, const X& x, const X& c) const {
    const auto forward = [&block, rope = rope_.get()](const X& a, const X& b) {
      return block(a, b, rope);
    };
    if constexpr (std::same_as<X, Var<T>>) {
      if (encoder.checkpointing()) return checkpoint(forward, x, c);
    }
    return forward(x, c);
  }

  TokenDitDhConfig config_;
  Shared<const RopeTable<T>> rope_;
};

}  // namespace rae
