// Everything that the library knows about LightningDiT as a part of a model.
#include "rae/models/lightning_dit.hpp"

#include <memory>

#include "rae/core/owner.hpp"
#include "rae/spec/limits.hpp"
#include "rae/spec/register_backbone.hpp"
#include "rae/spec/weight_types.hpp"
#include "spec/builtin_backbones.hpp"
#include "spec/dit_sizes.hpp"

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
    parse_dit_sizes(node, c);
    c.learn_sigma = node.get_or("learn_sigma", c.learn_sigma);
    c.use_swiglu = node.get_or("use_swiglu", c.use_swiglu);
    c.use_rmsnorm = node.get_or("use_rmsnorm", c.use_rmsnorm);
    c.use_rope = node.get_or("use_rope", c.use_rope);
    c.use_qknorm = node.get_or("use_qknorm", c.use_qknorm);
    return c;
  }

  static ConfigNode to_config(const Config& c) {
    ConfigNode out = dit_sizes_to_config(c);
    out.set("learn_sigma", c.learn_sigma);
    out.set("use_swiglu", c.use_swiglu);
    out.set("use_rmsnorm", c.use_rmsnorm);
    out.set("use_rope", c.use_rope);
    out.set("use_qknorm", c.use_qknorm);
    return out;
  }

  static void validate(const Config& c, const ConfigPlace& place) {
    validate_dit_sizes(c, place);
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
