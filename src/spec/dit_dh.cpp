// Everything that the library knows about DiT^DH as a part of a model.
#include "rae/models/dit_dh.hpp"

#include <algorithm>
#include <memory>

#include "rae/core/owner.hpp"
#include "rae/spec/limits.hpp"
#include "rae/spec/register_backbone.hpp"
#include "rae/spec/weight_types.hpp"
#include "spec/builtin_backbones.hpp"

namespace rae::detail {
namespace {

struct DitDhKind {
  using Config = DitDhConfig;
  template <class X>
  using Network = DitDh<X>;
  static constexpr std::string_view name = "dit", guide_name = "guide", title = "DiT^DH";

  static Config parse(const ConfigNode& node) {
    require_keys_known(
        node, {"grid_h", "grid_w", "in_channels", "hidden_size", "depth", "num_heads", "mlp_ratio",
               "num_classes", "class_dropout_prob", "use_swiglu", "use_rmsnorm", "use_rope",
               "use_qknorm", "use_pos_embed"});
    Config c;
    c.grid_h = node.get<index_t>("grid_h");
    c.grid_w = node.get<index_t>("grid_w");
    c.in_channels = node.get<index_t>("in_channels");
    read_pair(node, "hidden_size", c.hidden_size);
    read_pair(node, "depth", c.depth);
    read_pair(node, "num_heads", c.num_heads);
    c.mlp_ratio = node.get_or("mlp_ratio", c.mlp_ratio);
    c.num_classes = node.get<index_t>("num_classes");
    c.class_dropout_prob = node.get_or("class_dropout_prob", c.class_dropout_prob);
    c.use_swiglu = node.get_or("use_swiglu", c.use_swiglu);
    c.use_rmsnorm = node.get_or("use_rmsnorm", c.use_rmsnorm);
    c.use_rope = node.get_or("use_rope", c.use_rope);
    c.use_qknorm = node.get_or("use_qknorm", c.use_qknorm);
    c.use_pos_embed = node.get_or("use_pos_embed", c.use_pos_embed);
    return c;
  }

  static ConfigNode to_config(const Config& c) {
    return ConfigNode::map({{"grid_h", c.grid_h},
                            {"grid_w", c.grid_w},
                            {"in_channels", c.in_channels},
                            {"hidden_size", pair_of(c.hidden_size)},
                            {"depth", pair_of(c.depth)},
                            {"num_heads", pair_of(c.num_heads)},
                            {"mlp_ratio", c.mlp_ratio},
                            {"num_classes", c.num_classes},
                            {"class_dropout_prob", c.class_dropout_prob},
                            {"use_swiglu", c.use_swiglu},
                            {"use_rmsnorm", c.use_rmsnorm},
                            {"use_rope", c.use_rope},
                            {"use_qknorm", c.use_qknorm},
                            {"use_pos_embed", c.use_pos_embed}});
  }

  static void validate(const Config& c, const ConfigPlace& place) {
    require_size(place / "grid_h", c.grid_h, 1, kMaxGrid);
    require_size(place / "grid_w", c.grid_w, 1, kMaxGrid);
    require_size(place / "in_channels", c.in_channels, 1, kMaxWidth);
    for (std::size_t i = 0; i < 2; ++i) {
      require_size((place / "hidden_size")[i], c.hidden_size[i], 1, kMaxWidth);
      require_size((place / "depth")[i], c.depth[i], 1, kMaxLayers);
      require_size((place / "num_heads")[i], c.num_heads[i], 1, kMaxWidth);
    }
    require_number(place / "mlp_ratio", c.mlp_ratio, 0, kMaxMlpRatio);
    require_size(place / "num_classes", c.num_classes, 1, kMaxClasses);
    require_number(place / "class_dropout_prob", c.class_dropout_prob, 0, 1);
    for (std::size_t i = 0; i < 2; ++i)
      require_dit_width(place, i == 0 ? "the backbone's hidden_size" : "the head's hidden_size",
                        c.hidden_size[i], c.num_heads[i], c.use_rope, c.mlp_ratio);
  }

  static Shape latent_shape(const Config& c) { return {c.in_channels, c.grid_h, c.grid_w}; }
  static index_t width(const Config& c) { return std::max(c.hidden_size[0], c.hidden_size[1]); }
  /// The blocks of the backbone have one condition per picture, those of the head one per token.
  static DType weight_type(const Config& c, DType wanted, std::string_view parameter) {
    return block_weight_type(wanted, "blocks.", parameter, c.depth[0]);
  }

 private:
  /// Two sizes, the backbone's and the head's.
  static void read_pair(const ConfigNode& node, std::string_view key, index_t (&out)[2]) {
    const ConfigNode& list = node.at(key);
    if (!list.is_list() || list.elements().size() != 2)
      list.fail_expected("a list of two integers, backbone and head");
    for (std::size_t i = 0; i < 2; ++i) out[i] = list.elements()[i].as_integer();
  }
  static ConfigNode pair_of(const index_t (&values)[2]) {
    return ConfigNode::list({values[0], values[1]});
  }
};

}  // namespace

OwnedPointer<const BackboneKind> dit_dh_kind() {
  return std::make_unique<AdaptedKind<DitDhKind>>();
}

}  // namespace rae::detail
