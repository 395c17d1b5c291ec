// The frozen ViT encoders of RAE: DINOv2 with or without registers, SigLIP2 and MAE, as one text
// with four differences (prefix tokens, position table, epsilon, GELU). Diffusion Transformers with
// Representation Autoencoders, section 3.
//
// The final LayerNorm has no affine part; prefix tokens are dropped.
#pragma once

#include <array>
#include <vector>

#include "rae/models/name_map.hpp"
#include "rae/models/vit_block.hpp"
#include "rae/ops/resize.hpp"
#include "rae/ops/tokens.hpp"

namespace rae {

/// Which pretrained family.
enum class EncoderFamily { dinov2, siglip2, mae };

/// Shape of an encoder.
struct EncoderConfig {
  EncoderFamily family = EncoderFamily::dinov2;
  index_t patch_size = 14, channels = 3;
  index_t hidden_size = 768, num_layers = 12, num_heads = 12, intermediate_size = 3072;
  index_t registers = 4;               ///< DINOv2 only; 0 is DINOv2 without registers
  index_t table_h = 37, table_w = 37;  ///< grid of the stored position table
  double layer_norm_eps = 1e-6;        ///< 1e-12 for MAE

  [[nodiscard]] bool has_cls() const noexcept { return family != EncoderFamily::siglip2; }
  [[nodiscard]] index_t prefix_tokens() const noexcept {
    return has_cls() ? 1 + (family == EncoderFamily::dinov2 ? registers : 0) : 0;
  }
};

/// Normalised image (B, channels, h*P, w*P) -> patch tokens (B, h*w, D).
template <Operand X>
class Encoder {
 public:
  using T = typename X::value_type;

  explicit Encoder(const EncoderConfig& config) : config_(config) {
    const index_t d = config.hidden_size;
    patch_embed = Linear<X>(config.channels * config.patch_size * config.patch_size, d);
    if (config.has_cls()) cls_token = Parameter<X>(Shape{1, 1, d});
    if (config.family == EncoderFamily::dinov2 && config.registers > 0)
      register_tokens = Parameter<X>(Shape{1, config.registers, d});
    pos_embed =
        Parameter<X>(Shape{1, config.table_h * config.table_w + (config.has_cls() ? 1 : 0), d});
    const Activation gelu =
        config.family == EncoderFamily::siglip2 ? Activation::gelu_tanh : Activation::gelu;
    for (index_t i = 0; i < config.num_layers; ++i)
      layers.emplace_back(d, config.intermediate_size, config.num_heads, config.layer_norm_eps,
                          gelu, config.family == EncoderFamily::dinov2);
  }

  /// Throws ShapeError unless the image is (B, channels, H, W) with H and W divisible by the patch
  /// size.
  X operator()(const X& image) const {
    check(image.shape());
    X x = embed(image);                                    // (B, P+N, D)
    for (const VitBlock<X>& layer : layers) x = layer(x);  // (B, P+N, D)
    return tokens_of(x);                                   // (B, N, D)
  }

  /// The normalised patch tokens behind each layer, (B, N, D); the last are the encoder's output.
  /// For perceptual losses, and for latents that mix layers. Throws as the call does.
  std::vector<X> hidden_states(const X& image) const {
    check(image.shape());
    std::vector<X> out;
    X x = embed(image);  // (B, P+N, D)
    for (const VitBlock<X>& layer : layers) out.push_back(tokens_of(x = layer(x)));
    return out;
  }

  /// Tokens with positions and prefix, before the first layer: (B, P+N, D).
  X embed(const X& image) const {
    const index_t h = image.shape()[2] / config_.patch_size,
                  w = image.shape()[3] / config_.patch_size;
    X x = patch_embed(patchify(image, config_.patch_size));                 // (B, N, D)
    if (!config_.has_cls()) return add_broadcast(x, position(h, w));        // (B, N, D)
    x = add_broadcast(prepend_tokens(cls_token.value, x), position(h, w));  // (B, 1+N, D)
    if (register_tokens.empty()) return x;
    // Registers stand between the class token and the patches and have no position. Attention does
    // not see order, and all prefix tokens are dropped, so they may as well stand in front.
    return prepend_tokens(register_tokens.value, x);  // (B, 1+R+N, D)
  }

  template <class F>
  void parameters(F&& f) {
    visit("patch_embed.", patch_embed, f);
    if (!cls_token.empty()) f("cls_token", cls_token);
    if (!register_tokens.empty()) f("register_tokens", register_tokens);
    f("pos_embed", pos_embed);
    for (std::size_t i = 0; i < layers.size(); ++i)
      visit("layers." + std::to_string(i) + ".", layers[i], f);
  }

  [[nodiscard]] const EncoderConfig& config() const noexcept { return config_; }

  Linear<X> patch_embed;
  Parameter<X> cls_token, register_tokens, pos_embed;  // (1, 1, D), (1, R, D), (1, [1+]table, D)
  std::vector<VitBlock<X>> layers;

 private:
  void check(const Shape& s) const {
    if (s.rank() != 4 || s[1] != config_.channels || s[2] % config_.patch_size != 0 ||
        s[3] % config_.patch_size != 0 || s.numel() == 0)
      raise<ShapeError>("Encoder: expected (B, ", config_.channels,
                        ", H, W) with H and W divisible by ", config_.patch_size, ", got ", s);
  }

  // Patch tokens of (B, P+N, D) under the final norm: (B, N, D).
  X tokens_of(const X& x) const {
    const X normalized =
        normalize(NormParameters<X>{NormKind::layer, config_.layer_norm_eps, {}, {}}, x);
    return config_.prefix_tokens() > 0 ? drop_tokens(normalized, config_.prefix_tokens())
                                       : normalized;
  }

  // The position table on an h x w grid, with the class token's row in front: (1, [1+]h*w, D).
  // DINOv2 with registers shrinks its table with an antialiased cubic filter, the others use the
  // plain one: so do their classes in transformers.
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

/// Names of a family in its Hugging Face checkpoint; `prefix` stands in front of all ("" in a hub
/// file).
inline NameMap encoder_names(EncoderFamily family, const std::string& prefix = "") {
  return [family, prefix](const std::string& name) -> std::vector<std::string> {
    const bool siglip = family == EncoderFamily::siglip2;
    const VitLayerNames layer = family == EncoderFamily::dinov2 ? dinov2_layer_names()
                                : siglip                        ? siglip_layer_names()
                                                                : mae_layer_names();
    if (auto mapped = map_layers(name, "layers.",
                                 prefix + (siglip ? "encoder.layers." : "encoder.layer."), layer);
        !mapped.empty())
      return mapped;
    const std::string embeddings = prefix + "embeddings.";
    if (name == "pos_embed")
      return {embeddings + (siglip ? "position_embedding.weight" : "position_embeddings")};
    if (name.rfind("patch_embed.", 0) == 0)
      return {embeddings + (siglip ? "patch_embedding." : "patch_embeddings.projection.") +
              name.substr(12)};
    return {embeddings + name};
  };
}

}  // namespace rae
