// Everything that the library knows about the two diffusion networks of RAEv2 as parts of a model.
#include <algorithm>
#include <memory>
#include <string>

#include "rae/core/owner.hpp"
#include "rae/models/token_dit.hpp"
#include "rae/models/token_dit_dh.hpp"
#include "rae/spec/limits.hpp"
#include "rae/spec/register_backbone.hpp"
#include "rae/spec/weight_types.hpp"
#include "spec/builtin_backbones.hpp"
#include "spec/dit_sizes.hpp"

namespace rae::detail {
namespace {

constexpr index_t kMaxTokens = 4096;

/// The members of a kind that both networks share.
template <class C>
struct TokenKind {
  using Config = C;

  static constexpr std::string_view kKeys[] = {"input_h",     "input_w",
                                               "patch_size",  "in_channels",
                                               "hidden_size", "depth",
                                               "num_heads",   "mlp_ratio",
                                               "num_classes", "class_dropout_prob",
                                               "time_tokens", "class_tokens",
                                               "base_depth",  "align_depth",
                                               "align_width", "head_hidden_size",
                                               "head_depth",  "head_num_heads"};

  static Config parse_common(const ConfigNode& node) {
    Config c;
    parse_dit_sizes(node, c);
    c.time_tokens = node.get_or("time_tokens", c.time_tokens);
    c.class_tokens = node.get_or("class_tokens", c.class_tokens);
    c.base_depth = node.get_or("base_depth", c.base_depth);
    c.align_depth = node.get_or("align_depth", c.align_depth);
    c.align_width = node.get_or("align_width", c.align_width);
    return c;
  }

  static ConfigNode to_common(const Config& c) {
    ConfigNode out = dit_sizes_to_config(c);
    out.set("time_tokens", c.time_tokens);
    out.set("class_tokens", c.class_tokens);
    out.set("base_depth", c.base_depth);
    if (c.align_depth > 0) {
      out.set("align_depth", c.align_depth);
      out.set("align_width", c.align_width);
    }
    return out;
  }

  static void validate_common(const Config& c, const ConfigPlace& place) {
    validate_dit_sizes(c, place);
    require_size(place / "time_tokens", c.time_tokens, 1, kMaxTokens);
    require_size(place / "class_tokens", c.class_tokens, 1, kMaxTokens);
    // A head on a layer that does not exist would have nothing to see.
    require_size(place / "base_depth", c.base_depth, 0, c.depth);
    require_size(place / "align_depth", c.align_depth, 0, c.depth);
    require_size(place / "align_width", c.align_width, c.align_depth > 0 ? 1 : 0, kMaxWidth);
    require_dit_width(place, "hidden_size", c.hidden_size, c.num_heads, true, c.mlp_ratio);
  }

  static Shape latent_shape(const Config& c) { return {c.in_channels, c.input_h, c.input_w}; }
  static bool has_null_class(const Config&) { return true; }
  static bool has_base_head(const Config& c) { return c.base_depth > 0; }
  static Shape aligned_shape(const Config& c) {
    return c.align_depth > 0 ? Shape{c.rows() * c.columns(), c.align_width} : Shape{};
  }
  /// No block has a modulation that is computed from one vector per picture.
  static DType weight_type(const Config&, DType wanted, std::string_view parameter) {
    return block_weight_type(wanted, "blocks.", parameter, 0);
  }
};

struct TokenDitKind : TokenKind<TokenDitConfig> {
  template <class X>
  using Network = TokenDit<X>;
  static constexpr std::string_view name = "token_dit", title = "LightningDiT of RAEv2";

  static Config parse(const ConfigNode& node) {
    constexpr std::size_t kHeadKeys = 3;
    require_keys_known(node, {std::begin(kKeys), std::end(kKeys) - kHeadKeys});
    return parse_common(node);
  }
  static ConfigNode to_config(const Config& c) { return to_common(c); }
  static void validate(const Config& c, const ConfigPlace& place) { validate_common(c, place); }
  static index_t width(const Config& c) { return c.hidden_size; }
};

struct TokenDitDhKind : TokenKind<TokenDitDhConfig> {
  template <class X>
  using Network = TokenDitDh<X>;
  static constexpr std::string_view name = "token_dit_dh", title = "DiT^DH of RAEv2";

  static Config parse(const ConfigNode& node) {
    require_keys_known(node, {std::begin(kKeys), std::end(kKeys)});
    Config c = parse_common(node);
    c.head_hidden_size = node.get<index_t>("head_hidden_size");
    c.head_depth = node.get<index_t>("head_depth");
    c.head_num_heads = node.get<index_t>("head_num_heads");
    return c;
  }
  static ConfigNode to_config(const Config& c) {
    ConfigNode out = to_common(c);
    out.set("head_hidden_size", c.head_hidden_size);
    out.set("head_depth", c.head_depth);
    out.set("head_num_heads", c.head_num_heads);
    return out;
  }
  static void validate(const Config& c, const ConfigPlace& place) {
    validate_common(c, place);
    require_size(place / "head_hidden_size", c.head_hidden_size, 1, kMaxWidth);
    require_size(place / "head_depth", c.head_depth, 1, kMaxLayers);
    require_size(place / "head_num_heads", c.head_num_heads, 1, kMaxWidth);
    require_dit_width(place, "head_hidden_size", c.head_hidden_size, c.head_num_heads, true,
                      c.mlp_ratio);
  }
  static index_t width(const Config& c) { return std::max(c.hidden_size, c.head_hidden_size); }
};

}  // namespace

OwnedPointer<const BackboneKind> token_dit_kind() {
  return std::make_unique<AdaptedKind<TokenDitKind>>();
}

OwnedPointer<const BackboneKind> token_dit_dh_kind() {
  return std::make_unique<AdaptedKind<TokenDitDhKind>>();
}

}  // namespace rae::detail
