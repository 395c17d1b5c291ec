// Everything that the library knows about LightningDiT as a part of a model.
#include "rae/models/lightning_dit.hpp"

#include <memory>

#include "rae/core/owner.hpp"
#include "rae/spec/limits.hpp"
#include "rae/spec/register_backbone.hpp"
#include "rae/spec/weight_types.hpp"
#include "spec/builtin_backbones.hpp"

namespace rae::detail {
namespace {

struct LightningDitKind {
  using Config = LightningDitConfig;
  template <class X>
  using Network = LightningDit<X>;
  static constexpr std::string_view name = "lightning_dit", guide_name = "lightning_guide",
                                    title = "LightningDiT";

  static Config parse(const ConfigNode& node) {
    require_keys_known(
        node, {"input_h", "input_w", "patch_size", "in_channels", "hidden_size", "depth",
               "num_heads", "mlp_ratio", "num_classes", "class_dropout_prob", "learn_sigma",
               "use_swiglu", "use_rmsnorm", "use_rope", "use_qknorm"});
    Config c;
    c.input_h = node.get<index_t>("input_h");
    c.input_w = node.get<index_t>("input_w");
    if (node.contains("patch_size")) c.patch_size = node.get<index_t>("patch_size");
    c.in_channels = node.get<index_t>("in_channels");
    c.hidden_size = node.get<index_t>("hidden_size");
    c.depth = node.get<index_t>("depth");
    c.num_heads = node.get<index_t>("num_heads");
    c.mlp_ratio = node.get_or("mlp_ratio", c.mlp_ratio);
    c.num_classes = node.get<index_t>("num_classes");
    c.class_dropout_prob = node.get_or("class_dropout_prob", c.class_dropout_prob);
    c.learn_sigma = node.get_or("learn_sigma", c.learn_sigma);
    c.use_swiglu = node.get_or("use_swiglu", c.use_swiglu);
    c.use_rmsnorm = node.get_or("use_rmsnorm", c.use_rmsnorm);
    c.use_rope = node.get_or("use_rope", c.use_rope);
    c.use_qknorm = node.get_or("use_qknorm", c.use_qknorm);
    return c;
  }

  static ConfigNode to_config(const Config& c) {
    return ConfigNode::map({{"input_h", c.input_h},
                            {"input_w", c.input_w},
                            {"patch_size", c.patch_size},
                            {"in_channels", c.in_channels},
                            {"hidden_size", c.hidden_size},
                            {"depth", c.depth},
                            {"num_heads", c.num_heads},
                            {"mlp_ratio", c.mlp_ratio},
                            {"num_classes", c.num_classes},
                            {"class_dropout_prob", c.class_dropout_prob},
                            {"learn_sigma", c.learn_sigma},
                            {"use_swiglu", c.use_swiglu},
                            {"use_rmsnorm", c.use_rmsnorm},
                            {"use_rope", c.use_rope},
                            {"use_qknorm", c.use_qknorm}});
  }

  static void validate(const Config& c, const ConfigPlace& place) {
    require_size(place / "input_h", c.input_h, 1, kMaxGrid);
    require_size(place / "input_w", c.input_w, 1, kMaxGrid);
    require_size(place / "patch_size", c.patch_size, 1, kMaxGrid);
    if (c.input_h % c.patch_size != 0 || c.input_w % c.patch_size != 0)
      raise<ConfigError>(place.to_string(), ": a latent of ", c.input_h, " x ", c.input_w,
                         " does not divide into patches of ", c.patch_size);
    require_size(place / "in_channels", c.in_channels, 1, kMaxWidth);
    require_size(place / "hidden_size", c.hidden_size, 1, kMaxWidth);
    require_size(place / "depth", c.depth, 1, kMaxLayers);
    require_size(place / "num_heads", c.num_heads, 1, kMaxWidth);
    require_number(place / "mlp_ratio", c.mlp_ratio, 0, kMaxMlpRatio);
    require_size(place / "num_classes", c.num_classes, 1, kMaxClasses);
    require_number(place / "class_dropout_prob", c.class_dropout_prob, 0, 1);
    require_dit_width(place, "hidden_size", c.hidden_size, c.num_heads, c.use_rope, c.mlp_ratio);
  }

  static Shape latent_shape(const Config& c) { return {c.in_channels, c.input_h, c.input_w}; }
  static index_t width(const Config& c) { return c.hidden_size; }
  /// All blocks have one condition per picture.
  static DType weight_type(const Config& c, DType wanted, std::string_view parameter) {
    return block_weight_type(wanted, "blocks.", parameter, c.depth);
  }
};

}  // namespace

OwnedPointer<const BackboneKind> lightning_dit_kind() {
  return std::make_unique<AdaptedKind<LightningDitKind>>();
}

}  // namespace rae::detail
