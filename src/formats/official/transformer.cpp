#include "formats/official/transformer.hpp"

#include "rae/models/dit_dh.hpp"
#include "rae/models/lightning_dit.hpp"
#include "rae/models/token_dit.hpp"
#include "rae/models/token_dit_dh.hpp"
#include "rae/spec/limits.hpp"

namespace rae::official {
namespace {

void require_width(const ConfigNode& params, index_t width, index_t heads, bool rope) {
  if (width % heads != 0)
    raise<ConfigError>(params.where(), ": a hidden_size of ", width, " does not divide into ",
                       heads, " heads (num_heads)");
  if (rope && width / heads % 4 != 0)
    raise<ConfigError>(params.where(),
                       ": use_rope needs heads whose width is a multiple of 4, got ", width, " / ",
                       heads);
}

/// One integer, or a list of two.
void pair_of(const ConfigNode& params, std::string_view key, index_t highest, bool one_is_enough,
             index_t (&out)[2]) {
  const ConfigNode* found = given(params, key);
  if (found == nullptr) return;
  const bool one = one_is_enough && !found->is_list();
  if (!one && (!found->is_list() || found->elements().size() != 2))
    found->fail_expected(one_is_enough ? "an integer or a list of two, backbone and head"
                                       : "a list of two integers, backbone and head");
  for (std::size_t i = 0; i < 2; ++i)
    out[i] = (one ? *found : found->elements()[i]).as_integer(1, highest);
}

/// The keys that both classes have.
template <class Config>
void parse_common(const ConfigNode& params, Config& out) {
  out.in_channels = size_of(params, "in_channels", out.in_channels, 1, kMaxWidth);
  out.mlp_ratio = number_in(params, "mlp_ratio", out.mlp_ratio, 0.01, 64);
  out.num_classes = size_of(params, "num_classes", out.num_classes, 1, kMaxClasses);
  out.class_dropout_prob = number_in(params, "class_dropout_prob", out.class_dropout_prob, 0, 1);
  out.use_swiglu = params.get_or("use_swiglu", out.use_swiglu);
  out.use_rmsnorm = params.get_or("use_rmsnorm", out.use_rmsnorm);
  out.use_rope = params.get_or("use_rope", out.use_rope);
  out.use_qknorm = params.get_or("use_qknorm", out.use_qknorm);
  if (params.get_or("wo_shift", false))
    raise<ConfigError>(params.at("wo_shift").where(),
                       ": true means blocks without shifts, which the official code cannot run");
}

DitDhConfig parse_dit_dh(const ConfigNode& params, Notes& notes) {
  require_keys_known(
      params, {"input_size", "patch_size", "in_channels", "hidden_size", "depth", "num_heads",
               "mlp_ratio", "class_dropout_prob", "num_classes", "use_qknorm", "use_swiglu",
               "use_rope", "use_rmsnorm", "wo_shift", "use_pos_embed"});
  DitDhConfig out;
  out.grid_h = out.grid_w = params.at("input_size").as_integer(1, kMaxModelImageSize);
  index_t patch[2] = {1, 1};
  pair_of(params, "patch_size", kMaxModelImageSize, true, patch);
  if (patch[0] != 1 || patch[1] != 1)
    raise<ConfigError>(
        params.at("patch_size").where(),
        ": a DiTwDDTHead has patches of 1; the official class cannot run with others");
  parse_common(params, out);
  pair_of(params, "hidden_size", kMaxWidth, false, out.hidden_size);
  pair_of(params, "depth", kMaxLayers, false, out.depth);
  pair_of(params, "num_heads", kMaxWidth, true, out.num_heads);
  out.use_pos_embed = params.get_or("use_pos_embed", out.use_pos_embed);
  for (std::size_t i = 0; i < 2; ++i)
    require_width(params, out.hidden_size[i], out.num_heads[i], out.use_rope);
  if (!out.use_rope)
    notes.push_back(params.at("use_rope").where() +
                    ": the official DiTwDDTHead cannot run without rope; rae can");
  return out;
}

LightningDitConfig parse_lightning_dit(const ConfigNode& params, Notes& notes) {
  require_keys_known(
      params, {"input_size", "patch_size", "in_channels", "hidden_size", "depth", "num_heads",
               "mlp_ratio", "class_dropout_prob", "num_classes", "learn_sigma", "use_qknorm",
               "use_swiglu", "use_rope", "use_rmsnorm", "wo_shift", "use_gembed"});
  LightningDitConfig out;
  out.input_h = out.input_w = size_of(params, "input_size", 16, 1, kMaxModelImageSize);
  out.patch_size = size_of(params, "patch_size", 1, 1, kMaxModelImageSize);
  if (out.input_h % out.patch_size != 0)
    raise<ConfigError>(params.where(), ": an input_size of ", out.input_h,
                       " does not divide into patches of ", out.patch_size);
  parse_common(params, out);
  out.hidden_size = size_of(params, "hidden_size", out.hidden_size, 1, kMaxWidth);
  out.depth = size_of(params, "depth", out.depth, 1, kMaxLayers);
  out.num_heads = size_of(params, "num_heads", out.num_heads, 1, kMaxWidth);
  out.learn_sigma = params.get_or("learn_sigma", out.learn_sigma);
  require_width(params, out.hidden_size, out.num_heads, out.use_rope);
  if (!params.get_or("use_gembed", true))
    notes.push_back(params.at("use_gembed").where() +
                    ": has no effect, in the official code and here");
  return out;
}

ConfigNode pair_of(const index_t (&values)[2]) { return ConfigNode::list({values[0], values[1]}); }

/// The keys that both classes have.
template <class Config>
void set_common(const Config& c, ConfigNode& params) {
  params.set("in_channels", c.in_channels);
  params.set("mlp_ratio", c.mlp_ratio);
  params.set("class_dropout_prob", c.class_dropout_prob);
  params.set("num_classes", c.num_classes);
  params.set("use_qknorm", c.use_qknorm);
  params.set("use_swiglu", c.use_swiglu);
  params.set("use_rope", c.use_rope);
  params.set("use_rmsnorm", c.use_rmsnorm);
}

ConfigNode section_of(const DitDhConfig& c, const char* ckpt) {
  ConfigNode params = ConfigNode::map({{"input_size", c.grid_h},
                                       {"patch_size", 1},
                                       {"hidden_size", pair_of(c.hidden_size)},
                                       {"depth", pair_of(c.depth)},
                                       {"num_heads", pair_of(c.num_heads)}});
  set_common(c, params);
  params.set("use_pos_embed", c.use_pos_embed);
  return ConfigNode::map(
      {{"target", "stage2.models.DDT.DiTwDDTHead"}, {"params", params}, {"ckpt", ckpt}});
}

ConfigNode section_of(const LightningDitConfig& c, const char* ckpt) {
  ConfigNode params = ConfigNode::map({{"input_size", c.input_h},
                                       {"patch_size", c.patch_size},
                                       {"hidden_size", c.hidden_size},
                                       {"depth", c.depth},
                                       {"num_heads", c.num_heads},
                                       {"learn_sigma", c.learn_sigma}});
  set_common(c, params);
  return ConfigNode::map(
      {{"target", "stage2.models.lightningDiT.LightningDiT"}, {"params", params}, {"ckpt", ckpt}});
}

/// The keys that both classes of RAEv2 have; the others are in other sections, see
/// write_config.cpp.
ConfigNode token_params(const TokenBackboneConfig& c) {
  ConfigNode params = ConfigNode::map(
      {{"input_size", c.input_h}, {"in_channels", c.in_channels}, {"mlp_ratio", c.mlp_ratio}});
  if (c.base_depth > 0) params.set("base_model_depth", c.base_depth);
  if (c.align_depth > 0) {
    params.set("enable_repa", true);
    params.set("repa_layer_depth", c.align_depth);
    params.set("z_dim", c.align_width);
  }
  return params;
}

ConfigNode section_of(const TokenDitDhConfig& c, const char* ckpt) {
  const auto pair = [](index_t a, index_t b) { return ConfigNode::list({a, b}); };
  ConfigNode params = token_params(c);
  params.set("patch_size", pair(c.patch_size, c.patch_size));
  params.set("hidden_size", pair(c.hidden_size, c.head_hidden_size));
  params.set("depth", pair(c.depth, c.head_depth));
  params.set("num_heads", pair(c.num_heads, c.head_num_heads));
  return ConfigNode::map({{"target", c.base_depth > 0 ? "stage2.models.DDT.DiTwDDTHeadIG"
                                                      : "stage2.models.DDT.DiTwDDTHead"},
                          {"params", params},
                          {"ckpt", ckpt}});
}

ConfigNode section_of(const TokenDitConfig& c, const char* ckpt) {
  ConfigNode params = token_params(c);
  params.set("patch_size", c.patch_size);
  params.set("hidden_size", c.hidden_size);
  params.set("depth", c.depth);
  params.set("num_heads", c.num_heads);
  return ConfigNode::map({{"target", c.base_depth > 0 ? "stage2.models.lightningDiT.LightningDiTIG"
                                                      : "stage2.models.lightningDiT.LightningDiT"},
                          {"params", params},
                          {"ckpt", ckpt}});
}

}  // namespace

Backbone parse_transformer(std::string_view class_name, const ConfigNode& params, Notes& notes) {
  if (class_name == "DiTwDDTHead") return parse_dit_dh(params, notes);
  return parse_lightning_dit(params, notes);
}

bool is_guided(const Backbone& backbone) { return backbone.get_if<DitDhConfig>() != nullptr; }

bool has_class(const Backbone& backbone) {
  return backbone.get_if<DitDhConfig>() != nullptr ||
         backbone.get_if<LightningDitConfig>() != nullptr || is_of_version_2(backbone);
}

bool is_of_version_2(const Backbone& backbone) {
  return backbone.get_if<TokenDitConfig>() != nullptr ||
         backbone.get_if<TokenDitDhConfig>() != nullptr;
}

NameMap parameter_names(const Backbone& backbone) {
  if (!is_of_version_2(backbone)) return {};
  return token_dit_names(backbone.get_if<TokenDitDhConfig>() != nullptr);
}

void take_alignment(const TensorSource& tensors, Backbone& backbone) {
  constexpr std::string_view kProjector = "repa_projector.weight";
  if (!is_of_version_2(backbone) || !tensors.contains(kProjector)) return;
  const Shape shape = tensors.info(kProjector).shape;
  if (shape.rank() != 2) return;
  const auto take = [&](TokenBackboneConfig& c) {
    if (c.align_depth > 0) c.align_width = shape[0];
  };
  if (auto* dit = backbone.get_if<TokenDitDhConfig>()) take(*dit);
  if (auto* dit = backbone.get_if<TokenDitConfig>()) take(*dit);
}

ConfigNode transformer_section(const Backbone& backbone, const char* ckpt) {
  if (const auto* dit = backbone.get_if<TokenDitDhConfig>()) return section_of(*dit, ckpt);
  if (const auto* dit = backbone.get_if<TokenDitConfig>()) return section_of(*dit, ckpt);
  if (const auto* dit = backbone.get_if<DitDhConfig>()) return section_of(*dit, ckpt);
  return section_of(backbone.get<LightningDitConfig>(), ckpt);
}

StateDictLayout state_dict_layout(const Backbone& backbone) {
  StateDictLayout out;
  const auto* head = backbone.get_if<TokenDitDhConfig>();
  const TokenBackboneConfig* tokens = head;
  if (tokens == nullptr) tokens = backbone.get_if<TokenDitConfig>();
  if (tokens != nullptr) {
    const TokenBackboneConfig& c = *tokens;
    out.channels = c.in_channels;
    out.patch = c.patch_size;
    out.tables = {{head != nullptr ? "enc_rope" : "rope", c.rows(), c.columns(),
                   c.hidden_size / c.num_heads, c.time_tokens + c.class_tokens}};
    if (head != nullptr)
      out.tables.push_back(
          {"dec_rope", c.rows(), c.columns(), head->head_hidden_size / head->head_num_heads});
    return out;
  }
  if (const auto* c = backbone.get_if<DitDhConfig>()) {
    out.channels = c->in_channels;
    out.patch = 1;
    if (c->use_rope)
      out.tables = {{"enc_feat_rope", c->grid_h, c->grid_w, c->hidden_size[0] / c->num_heads[0]},
                    {"dec_feat_rope", c->grid_h, c->grid_w, c->hidden_size[1] / c->num_heads[1]}};
    return out;
  }
  const LightningDitConfig& c = backbone.get<LightningDitConfig>();
  out.channels = c.in_channels;
  out.patch = c.patch_size;
  if (c.use_rope)
    out.tables = {{"feat_rope", c.input_h / c.patch_size, c.input_w / c.patch_size,
                   c.hidden_size / c.num_heads}};
  return out;
}

}  // namespace rae::official
