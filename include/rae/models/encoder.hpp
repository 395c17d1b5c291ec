// The frozen ViT encoders of RAE: DINOv2 with or without registers, SigLIP2, MAE, and DINOv3 of
// RAEv2. The families share one implementation and differ in prefix tokens, positions, epsilon and
// feed-forward network. Diffusion Transformers with Representation Autoencoders, section 3; RAEv2
// (arXiv 2605.18324) for latents of several layers; Simeoni et al. 2025, "DINOv3".
//
// The final LayerNorm has no weight and bias, unless `final_affine` is set; prefix tokens are
// dropped after it.
#pragma once

#include <array>
#include <vector>

#include "rae/models/name_map.hpp"
#include "rae/models/vit_block.hpp"
#include "rae/ops/layer_mean.hpp"
#include "rae/ops/resize.hpp"
#include "rae/ops/tokens.hpp"

namespace rae {

/// Family of pretrained encoders.
enum class EncoderFamily { dinov2, siglip2, mae, dinov3 };

/// Sizes of an encoder.
struct EncoderConfig {
  EncoderFamily family = EncoderFamily::dinov2;
  index_t patch_size = 14, channels = 3;
  index_t hidden_size = 768, num_layers = 12, num_heads = 12, intermediate_size = 3072;
  index_t registers = 4;               ///< DINOv2 and DINOv3 only; 0: without registers
  index_t table_h = 37, table_w = 37;  ///< grid of the stored position table; DINOv3 has none, and
                                       ///< this is the grid of its training
  double layer_norm_eps = 1e-6;        ///< 1e-12 for MAE, 1e-5 for DINOv3
  bool gated_mlp = false;              ///< DINOv3 only: SwiGLU, as in the sizes S+ and H+
  double rope_theta = 100;             ///< DINOv3 only: largest period of its rotary positions
  /// Layers whose normalised tokens are averaged, counted from 0, each at most once; empty: the
  /// last layer alone.
  std::vector<index_t> latent_layers{};
  bool add_last_mean = false;  ///< add the mean token of the last of `latent_layers` to each token
  bool final_affine = false;   ///< the final LayerNorm has a weight and a bias
  double final_eps = 0;        ///< epsilon of the final LayerNorm; 0: `layer_norm_eps`

  /// True when the family has a class token.
  [[nodiscard]] bool has_cls() const noexcept { return family != EncoderFamily::siglip2; }
  /// True when positions are rotations of queries and keys, and there is no table of them.
  [[nodiscard]] bool has_rope() const noexcept { return family == EncoderFamily::dinov3; }
  /// True when the family has LayerScale and, if there are any, registers.
  [[nodiscard]] bool is_dino() const noexcept {
    return family == EncoderFamily::dinov2 || family == EncoderFamily::dinov3;
  }
  /// Number of class and register tokens.
  [[nodiscard]] index_t prefix_tokens() const noexcept {
    return has_cls() ? 1 + (is_dino() ? registers : 0) : 0;
  }
  /// Epsilon of the final LayerNorm.
  [[nodiscard]] double final_norm_eps() const noexcept {
    return final_eps > 0 ? final_eps : layer_norm_eps;
  }
};

/// Normalised image (B, channels, h*P, w*P) -> patch tokens (B, h*w, D).
template <Operand X>
class Encoder {
 public:
  using T = typename X::value_type;

  /// Weights are zero. Throws ConfigError for heads that do not divide the width.
  explicit Encoder(const EncoderConfig& config) : config_(config) {
    const index_t d = config.hidden_size;
    patch_embed = Linear<X>(config.channels * config.patch_size * config.patch_size, d);
    if (config.has_cls()) cls_token = Parameter<X>(Shape{1, 1, d});
    if (config.is_dino() && config.registers > 0)
      register_tokens = Parameter<X>(Shape{1, config.registers, d});
    if (!config.has_rope())
      pos_embed =
          Parameter<X>(Shape{1, config.table_h * config.table_w + (config.has_cls() ? 1 : 0), d});
    const Activation activation = config.gated_mlp                          ? Activation::swiglu
                                  : config.family == EncoderFamily::siglip2 ? Activation::gelu_tanh
                                                                            : Activation::gelu;
    for (index_t i = 0; i < config.num_layers; ++i)
      layers.emplace_back(d, config.intermediate_size, config.num_heads, config.layer_norm_eps,
                          activation, config.is_dino());
    if (config.final_affine) norm_out = LayerNorm<X>(d, config.final_norm_eps());
  }

  /// Patch tokens (B, h*w, D) of a normalised image (B, channels, H, W). Throws ShapeError unless H
  /// and W are divisible by the patch size.
  X operator()(const X& image) const {
    check(image.shape());
    const Rope rope = rotation(image.shape());
    X x = embed(image);  // (B, P+N, D)
    const std::vector<index_t>& wanted = config_.latent_layers;
    if (wanted.empty()) {
      for (const VitBlock<X>& layer : layers) x = layer(x, rope);  // (B, P+N, D)
      return tokens_of(x);                                         // (B, N, D)
    }
    std::vector<X> latents(wanted.size());  // (B, N, D) each
    index_t remaining = static_cast<index_t>(wanted.size());
    for (std::size_t i = 0; remaining > 0 && i < layers.size(); ++i) {
      x = layers[i](x, rope);  // (B, P+N, D)
      for (std::size_t k = 0; k < wanted.size(); ++k)
        if (wanted[k] == static_cast<index_t>(i)) {
          latents[k] = tokens_of(x);  // (B, N, D)
          --remaining;
        }
    }
    return layer_mean(latents, config_.add_last_mean);
  }

  /// The normalised patch tokens after each layer, (B, N, D) each; the last are the encoder's
  /// output. For perceptual losses, and for latents that combine layers. Throws ShapeError.
  std::vector<X> hidden_states(const X& image) const {
    check(image.shape());
    std::vector<X> out;
    const Rope rope = rotation(image.shape());
    X x = embed(image);  // (B, P+N, D)
    for (const VitBlock<X>& layer : layers) out.push_back(tokens_of(x = layer(x, rope)));
    return out;
  }

  /// The input (B, P+N, D) of the first layer: P prefix tokens, then embedded patches, with
  /// positions.
  X embed(const X& image) const {
    const index_t h = image.shape()[2] / config_.patch_size,
                  w = image.shape()[3] / config_.patch_size;
    X x = patch_embed(patchify(image, config_.patch_size));           // (B, N, D)
    if (!config_.has_cls()) return add_broadcast(x, position(h, w));  // (B, N, D)
    x = prepend_tokens(cls_token.value, x);                           // (B, 1+N, D)
    if (!config_.has_rope()) x = add_broadcast(x, position(h, w));    // (B, 1+N, D)
    if (register_tokens.empty()) return x;
    // Official models put the registers, which have no position, between class token and patches.
    // Attention does not depend on the order, and all prefix tokens are dropped, so the registers
    // can be first.
    return prepend_tokens(register_tokens.value, x);  // (B, 1+R+N, D)
  }

  /// Calls f(name, parameter) for every parameter.
  template <class F>
  void parameters(F&& f) {
    visit("patch_embed.", patch_embed, f);
    if (!cls_token.empty()) f("cls_token", cls_token);
    if (!register_tokens.empty()) f("register_tokens", register_tokens);
    if (!pos_embed.empty()) f("pos_embed", pos_embed);
    for (std::size_t i = 0; i < layers.size(); ++i)
      visit("layers." + std::to_string(i) + ".", layers[i], f);
    if (config_.final_affine) visit("norm.", norm_out, f);
  }

  /// The sizes given to the constructor.
  [[nodiscard]] const EncoderConfig& config() const noexcept { return config_; }

  Linear<X> patch_embed;                               // (D, channels*P*P)
  Parameter<X> cls_token, register_tokens, pos_embed;  // (1, 1, D), (1, R, D), (1, [1+]table, D)
  std::vector<VitBlock<X>> layers;
  LayerNorm<X> norm_out;  ///< only with `final_affine`

 private:
  using Rope = typename VitBlock<X>::Rope;

  // The angles of prefix tokens, which are 0, and of the patches of an image (B, channels, H, W);
  // empty for a family without rotary positions.
  Rope rotation(const Shape& image) const {
    if (!config_.has_rope()) return {};
    const RopeTable<T> patches =
        make_centred_rope_table<T>(image[2] / config_.patch_size, image[3] / config_.patch_size,
                                   config_.hidden_size / config_.num_heads, config_.rope_theta);
    return Rope::make(with_unrotated_tokens(patches, config_.prefix_tokens(), 0));
  }

  void check(const Shape& s) const {
    if (s.rank() != 4 || s[1] != config_.channels || s[2] % config_.patch_size != 0 ||
        s[3] % config_.patch_size != 0 || s.numel() == 0)
      raise<ShapeError>("Encoder: expected (B, ", config_.channels,
                        ", H, W) with H and W divisible by ", config_.patch_size, ", got ", s);
  }

  // The patch tokens of x (B, P+N, D) after the final norm: (B, N, D).
  X tokens_of(const X& x) const {
    const X normalized =
        config_.final_affine
            ? X(norm_out(x))
            : X(normalize(NormParameters<X>{NormKind::layer, config_.final_norm_eps(), {}, {}},
                          x));  // (B, P+N, D)
    return config_.prefix_tokens() > 0 ? drop_tokens(normalized, config_.prefix_tokens())
                                       : normalized;
  }

  // The position table for an h x w grid, with the row of the class token first: (1, [1+]h*w, D).
  // DINOv2 with registers resizes its table with an antialiased cubic filter, the others with a
  // plain one, as in Hugging Face transformers.
  X position(index_t h, index_t w) const {
    if (h == config_.table_h && w == config_.table_w) return pos_embed.value;
    const index_t prefix = config_.has_cls() ? 1 : 0;
    const X patches = tokens_to_grid(drop_tokens(pos_embed.value, prefix), config_.table_h,
                                     config_.table_w);  // (1, D, th, tw)
    const bool antialias = config_.family == EncoderFamily::dinov2 && config_.registers > 0;
    const Resize method = antialias ? Resize::bicubic_antialias : Resize::bicubic;
    const X table = grid_to_tokens(resize(patches, method, h, w));  // (1, h*w, D)
    return prefix == 0 ? table : prepend_tokens(keep_tokens(pos_embed.value, prefix), table);
  }

  EncoderConfig config_;
};

/// Parameter names of a family in its Hugging Face checkpoint; `prefix` is put before each of them
/// ("" for files of the Hugging Face hub). `gated`: see EncoderConfig::gated_mlp.
inline NameMap encoder_names(EncoderFamily family, const std::string& prefix = "",
                             bool gated = false) {
  return [family, prefix, gated](const std::string& name) -> std::vector<std::string> {
    const bool siglip = family == EncoderFamily::siglip2, dinov3 = family == EncoderFamily::dinov3;
    const VitLayerNames layer = family == EncoderFamily::dinov2 ? dinov2_layer_names()
                                : dinov3                        ? dinov3_layer_names(gated)
                                : siglip                        ? siglip_layer_names()
                                                                : mae_layer_names();
    if (auto mapped = map_layers(name, "layers.",
                                 prefix + (siglip   ? "encoder.layers."
                                           : dinov3 ? "layer."
                                                    : "encoder.layer."),
                                 layer);
        !mapped.empty())
      return mapped;
    if (name.starts_with("norm."))
      return {prefix +
              (siglip   ? "post_layernorm."
               : dinov3 ? "norm."
                        : "layernorm.") +
              name.substr(5)};
    const std::string embeddings = prefix + "embeddings.";
    if (name == "pos_embed")
      return {embeddings + (siglip ? "position_embedding.weight" : "position_embeddings")};
    if (name.rfind("patch_embed.", 0) == 0)
      return {embeddings +
              (siglip   ? "patch_embedding."
               : dinov3 ? "patch_embeddings."
                        : "patch_embeddings.projection.") +
              name.substr(12)};
    return {embeddings + name};
  };
}

}  // namespace rae
