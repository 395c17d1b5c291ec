// The ViT decoder of RAE, from latent tokens to pixels. Diffusion Transformers with Representation
// Autoencoders, section 3; official class GeneralDecoder (a MAE decoder, He et al. 2022, without
// masking).
#pragma once

#include <vector>

#include "rae/models/vit_block.hpp"
#include "rae/ops/resize.hpp"
#include "rae/ops/tokens.hpp"

namespace rae {

/// Sizes of a ViT decoder.
struct DecoderConfig {
  index_t grid_h = 16, grid_w = 16;  ///< token grid
  index_t in_dim = 768;              ///< C, token dimension
  index_t hidden_size = 1152, num_layers = 28, num_heads = 16, intermediate_size = 4096;
  index_t patch_size = 16;  ///< P, pixels per token along either side
  index_t channels = 3;     ///< of the image
  double layer_norm_eps = 1e-12;
};

/// tokens (B, N, C) -> image (B, channels, h*P, w*P), in the encoder's normalised pixel units. The
/// image always has the native grid h x w of the configuration; tokens of another grid are resized
/// to it after the embedding.
template <Operand X>
class Decoder {
 public:
  using T = typename X::value_type;

  /// Weights are zero. Throws ConfigError for heads that do not divide the width.
  explicit Decoder(const DecoderConfig& config) : config_(config) {
    const index_t h = config.hidden_size, tokens = config.grid_h * config.grid_w;
    pos_embed = Parameter<X>(Shape{1, tokens + 1, h});
    cls_token = Parameter<X>(Shape{1, 1, h});
    embed = Linear<X>(config.in_dim, h);
    for (index_t i = 0; i < config.num_layers; ++i)
      layers.emplace_back(h, config.intermediate_size, config.num_heads, config.layer_norm_eps,
                          Activation::gelu, false);
    norm_out = LayerNorm<X>(h, config.layer_norm_eps);
    pred = Linear<X>(h, config.patch_size * config.patch_size * config.channels);
  }

  /// The input (B, 1+h*w, H) of the last layer for tokens (B, grid_h*grid_w, C) of any grid. Throws
  /// ShapeError.
  X hidden(const X& tokens, index_t grid_h, index_t grid_w) const {
    const Shape s = tokens.shape();
    if (s.rank() != 3 || s[0] < 1 || grid_h < 1 || grid_w < 1)
      raise<ShapeError>("Decoder: expected tokens (B, N, C), got ", s);
    require_shape("Decoder: tokens", s, {s[0], grid_h * grid_w, config_.in_dim});
    X x = embed(tokens);  // (B, N, H)
    if (grid_h != config_.grid_h || grid_w != config_.grid_w)
      x = grid_to_tokens(resize(tokens_to_grid(x, grid_h, grid_w), Resize::bilinear, config_.grid_h,
                                config_.grid_w));          // (B, h*w, H)
    x = prepend_tokens(cls_token.value, x);                // (B, 1+h*w, H)
    x = add_broadcast(x, pos_embed.value);                 // (B, 1+h*w, H)
    for (const VitBlock<X>& layer : layers) x = layer(x);  // (B, 1+h*w, H)
    return norm_out(x);                                    // (B, 1+h*w, H)
  }

  /// Patches (B, h*w, P*P*channels), with channels innermost, for tokens (B, grid_h*grid_w, C) of
  /// any grid. Throws ShapeError.
  X patches(const X& tokens, index_t grid_h, index_t grid_w) const {
    return drop_tokens(pred(hidden(tokens, grid_h, grid_w)), 1);
  }

  /// The same for tokens of the native grid. Throws ShapeError.
  X patches(const X& tokens) const { return patches(tokens, config_.grid_h, config_.grid_w); }

  /// Image (B, channels, h*P, w*P) for the last layer's output (B, 1+h*w, P*P*channels), in which
  /// channels are innermost.
  X image_of(const X& patches) const {
    return unpatchify(drop_tokens(patches, 1), config_.grid_h, config_.grid_w, config_.patch_size);
  }

  /// Image (B, channels, h*P, w*P) for tokens (B, grid_h*grid_w, C) of any grid. Throws ShapeError.
  X operator()(const X& tokens, index_t grid_h, index_t grid_w) const {
    return image_of(pred(hidden(tokens, grid_h, grid_w)));
  }

  /// The same for tokens of the native grid. Throws ShapeError.
  X operator()(const X& tokens) const { return (*this)(tokens, config_.grid_h, config_.grid_w); }

  /// Calls f(name, parameter) for every parameter, with the names of the official checkpoints.
  template <class F>
  void parameters(F&& f) {
    f("decoder_pos_embed", pos_embed);
    f("trainable_cls_token", cls_token);
    visit("decoder_embed.", embed, f);
    for (std::size_t i = 0; i < layers.size(); ++i)
      visit("decoder_layers." + std::to_string(i) + ".", layers[i], f);
    visit("decoder_norm.", norm_out, f);
    visit("decoder_pred.", pred, f);
  }

  /// The sizes given to the constructor.
  [[nodiscard]] const DecoderConfig& config() const noexcept { return config_; }

  Parameter<X> pos_embed, cls_token;  // (1, 1+N, H), (1, 1, H)
  Linear<X> embed, pred;              // (H, C), (P*P*channels, H)
  std::vector<VitBlock<X>> layers;
  LayerNorm<X> norm_out;

 private:
  DecoderConfig config_;
};

}  // namespace rae
