// The frozen ViT encoders of RAE: DINOv2 with or without registers, SigLIP2 and MAE. The families
// share one implementation and differ in prefix tokens, position table, epsilon and GELU. Diffusion
// Transformers with Representation Autoencoders, section 3.
//
// The final LayerNorm has no weight and bias; prefix tokens are dropped after it.
#pragma once

#include <array>
#include <vector>

#include "rae/models/name_map.hpp"
#include "rae/models/vit_block.hpp"
#include "rae/ops/resize.hpp"
#include "rae/ops/tokens.hpp"

namespace rae {

/// Family of pretrained encoders.
enum class EncoderFamily { dinov2, siglip2, mae };

/// Sizes of an encoder.
struct EncoderConfig {
  EncoderFamily family = EncoderFamily::dinov2;
  index_t patch_size = 14, channels = 3;
  index_t hidden_size = 768, num_layers = 12, num_heads = 12, intermediate_size = 3072;
  index_t registers = 4;               ///< DINOv2 only; 0 is DINOv2 without registers
  index_t table_h = 37, table_w = 37;  ///< grid of the stored position table
  double layer_norm_eps = 1e-6;        ///< 1e-12 for MAE

  /// True when the family has a class token.
  [[nodiscard]] bool has_cls() const noexcept { return family != EncoderFamily::siglip2; }
  /// Number of class and register tokens.
  [[nodiscard]] index_t prefix_tokens() const noexcept {
    return has_cls() ? 1 + (family == EncoderFamily::dinov2 ? registers : 0) : 0;
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

  /// Patch tokens (B, h*w, D) of a normalised image (B, channels, H, W). Throws ShapeError unless H
  /// and W are divisible by the patch size.
  X operator()(const X& image) const {
    check(image.shape());
    X x = embed(image);                                    // (B, P+N, D)
    for (const VitBlock<X>& layer : layers) x = layer(x);  // (B, P+N, D)
    return tokens_of(x);                                   // (B, N, D)
  }

  /// The normalised patch tokens after each layer, (B, N, D) each; the last are the encoder's
  /// output. For perceptual losses, and for latents that combine layers. Throws ShapeError.
  std::vector<X> hidden_states(const X& image) const {
    check(image.shape());
    std::vector<X> out;
    X x = embed(image);  // (B, P+N, D)
    for (const VitBlock<X>& layer : layers) out.push_back(tokens_of(x = layer(x)));
    return out;
  }

  /// The input (B, P+N, D) of the first layer: P prefix tokens, then embedded patches, with
  /// positions.
  X embed(const X& image) const {
    const index_t h = image.shape()[2] / config_.patch_size,
                  w = image.shape()[3] / config_.patch_size;
    X x = patch_embed(patchify(image, config_.patch_size));                 // (B, N, D)
    if (!config_.has_cls()) return add_broadcast(x, position(h, w));        // (B, N, D)
    x = add_broadcast(prepend_tokens(cls_token.value, x), position(h, w));  // (B, 1+N, D)
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
    f("pos_embed", pos_embed);
    for (std::size_t i = 0; i < layers.size(); ++i)
      visit("layers." + std::to_string(i) + ".", layers[i], f);
  }

  /// The sizes given to the constructor.
  [[nodiscard]] const EncoderConfig& config() const noexcept { return config_; }

  Linear<X> patch_embed;                               // (D, channels*P*P)
  Parameter<X> cls_token, register_tokens, pos_embed;  // (1, 1, D), (1, R, D), (1, [1+]table, D)
  std::vector<VitBlock<X>> layers;

 private:
  void check(const Shape& s) const {
    if (s.rank() != 4 || s[1] != config_.channels || s[2] % config_.patch_size != 0 ||
        s[3] % config_.patch_size != 0 || s.numel() == 0)
      raise<ShapeError>("Encoder: expected (B, ", config_.channels,
                        ", H, W) with H and W divisible by ", config_.patch_size, ", got ", s);
  }

  // The patch tokens of x (B, P+N, D) after the final norm: (B, N, D).
  X tokens_of(const X& x) const {
    const X normalized = normalize(
        NormParameters<X>{NormKind::layer, config_.layer_norm_eps, {}, {}}, x);  // (B, P+N, D)
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
/// ("" for files of the Hugging Face hub).
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
