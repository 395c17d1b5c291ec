#include "formats/official/version_2.hpp"

#include <algorithm>
#include <string>
#include <string_view>

#include "formats/official/values.hpp"
#include "rae/diffusion/time_distribution.hpp"
#include "rae/models/token_dit.hpp"
#include "rae/models/token_dit_dh.hpp"
#include "rae/spec/limits.hpp"

namespace rae::official {
namespace {

/// Keys that only RAEv2 has, as paths.
constexpr std::string_view kVersion2Keys[] = {
    "stage_1.params.encoder_name",
    "stage_1.params.resolution",
    "stage_2.params.base_model_depth",
    "internal_guidance",
    "guidance.ig",
    "guidance.cfg",
    "conditioning",
    "repa",
    "transport.t_eps",
    "transport.prediction",  // RAE has transport.params.prediction
};

/// The value at a path of keys; null when it is absent.
const ConfigNode* value_at(const ConfigNode& node, std::string_view path) {
  const ConfigNode* at = &node;
  while (at != nullptr && !path.empty()) {
    const std::size_t dot = path.find('.');
    if (!at->is_map()) return nullptr;
    at = at->find(path.substr(0, dot));
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  }
  return at;
}

std::string path_under(const ConfigNode& node, std::string_view key) {
  const ConfigNode* found = given(node, key);
  return found == nullptr ? std::string() : found->as_string();
}

/// A section, which may be missing.
ConfigNode section(const ConfigNode& node, std::string_view key) {
  const ConfigNode* found = given(node, key);
  if (found == nullptr) return ConfigNode::map();
  (void)found->members();
  return *found;
}

[[noreturn]] void refuse(const ConfigNode& node, std::string_view part) {
  raise<ConfigError>(node.where(), ": ", part, " of RAEv2 are not supported");
}

OfficialStage1 parse_autoencoder(const ConfigNode& node) {
  require_keys_known(node, {"target", "params", "ckpt"});
  const ConfigNode& target = node.at("target");
  if (const std::string& text = target.as_string(); text.substr(text.rfind('.') + 1) != "RAE")
    raise<ConfigError>(target.where(), ": expected the class RAE, got '", text,
                       "'; the VAEs of the baselines of RAEv2 are not supported");
  const ConfigNode& params = node.at("params");
  require_keys_known(params,
                     {"encoder_name", "resolution", "decoder_config_path", "decoder_patch_size",
                      "pretrained_decoder_path", "noise_tau", "normalization_stat_path", "eps"});
  OfficialStage1 out;
  out.encoder_name = parse_encoder_name(params.at("encoder_name"));
  out.family = out.encoder_name->family;
  out.resolution = size_of(params, "resolution", out.resolution, 1, kMaxModelImageSize);
  constexpr index_t kGrid = 16;  // the decoder has resolution / 16 patches along either side
  const bool dinov2 = out.family == EncoderFamily::dinov2;
  if (const index_t step = dinov2 ? 256 : kGrid; out.resolution % step != 0)
    raise<ConfigError>(params.where(), ": resolution ", out.resolution, " is no multiple of ", step,
                       ", which ", out.encoder_name->text, " needs");
  out.encoder_input_size = dinov2 ? 224 * (out.resolution / 256) : out.resolution;
  out.decoder_config_path = path_under(params, "decoder_config_path");
  if (out.decoder_config_path.empty()) out.decoder_config_path = "vit_mae-base";
  out.decoder_patch_size =
      size_of(params, "decoder_patch_size", out.decoder_patch_size, 1, kMaxModelImageSize);
  out.pretrained_decoder_path = path_under(params, "pretrained_decoder_path");
  out.ckpt = path_under(node, "ckpt");
  out.normalization_stat_path = path_under(params, "normalization_stat_path");
  out.noise_tau = number_in(params, "noise_tau", out.noise_tau, 0, 1e3);
  out.eps = number_in(params, "eps", out.eps, 0, 1);
  return out;
}

/// `conditioning`; returns the type, "label".
void require_labels(const ConfigNode& whole) {
  const ConfigNode conditioning = section(whole, "conditioning");
  require_keys_known(conditioning,
                     {"type", "text_encoder", "cfg_dropout_prob", "context_dim", "arch"});
  const auto check = [](const ConfigNode* node) {
    if (node == nullptr) return;
    const std::string& type = node->as_string();
    if (type == "text") refuse(*node, "text encoders (condition 'text')");
    if (type == "nwm") refuse(*node, "world models (condition 'nwm')");
    if (type != "label") node->fail_expected("label; others are not supported");
  };
  check(given(conditioning, "type"));
  check(value_at(whole, "stage_2.params.condition_type"));
  const ConfigNode* data = value_at(whole, "dataset.condition_type");
  if (data != nullptr && !data->is_null()) check(data);
}

/// Width of the features of the encoder that REPA compares; 0 when it is unknown.
index_t width_of_target(const std::string& name) {
  const std::string size = name.substr(name.rfind('-') + 1);
  if (size.starts_with("s16") || size == "s") return 384;
  if (size == "b16" || size == "b") return 768;
  if (size == "l16" || size == "l") return 1024;
  if (size == "h16plus" || size == "h") return 1280;
  if (size == "g") return 1536;
  return size == "so400m" ? 1152 : 0;
}

/// The keys that both classes have.
void parse_token_backbone(const ConfigNode& whole, const ConfigNode& params, bool guided,
                          TokenBackboneConfig& out) {
  out.input_h = out.input_w = size_of(params, "input_size", 16, 1, kMaxGrid);
  out.in_channels = size_of(params, "in_channels", out.in_channels, 1, kMaxWidth);
  out.mlp_ratio = number_in(params, "mlp_ratio", out.mlp_ratio, 0.01, 64);
  const ConfigNode misc = section(whole, "misc"), repa = section(whole, "repa"),
                   guidance = section(whole, "internal_guidance"),
                   conditioning = section(whole, "conditioning");
  out.num_classes =
      size_of(params, "num_classes", size_of(misc, "num_classes", out.num_classes, 1, kMaxClasses),
              1, kMaxClasses);
  out.class_dropout_prob = number_in(conditioning, "cfg_dropout_prob", 0.1, 0, 1);
  const ConfigNode* own = given(params, "cond_arch");
  const ConfigNode arch = own != nullptr ? *own : section(conditioning, "arch");
  require_keys_known(arch,
                     {"num_t_tokens", "num_c_tokens", "num_cfg_omega_tokens", "n_action_tokens"});
  out.time_tokens = size_of(arch, "num_t_tokens", 4, 1, 4096);
  out.class_tokens = size_of(arch, "num_c_tokens", 8, 1, 4096);
  if (params.get_or("use_cfg_conds", false))
    refuse(params.at("use_cfg_conds"), "tokens of the guidance scale (use_cfg_conds)");
  require_keys_known(guidance, {"base_model_depth", "base_model_coeff"});
  if (guided)
    out.base_depth =
        size_of(params, "base_model_depth", size_of(guidance, "base_model_depth", 8, 1, kMaxLayers),
                1, kMaxLayers);
  else if (const ConfigNode* depth = given(params, "base_model_depth"))
    raise<ConfigError>(depth->where(), ": only the classes with IG have a base head");
  require_keys_known(repa, {"use_repa", "repa_layer_depth", "repa_coeff", "target_encoder",
                            "target_encoder_resolution", "z_dim"});
  if (!params.get_or("enable_repa", repa.get_or("use_repa", false))) return;
  out.align_depth = size_of(params, "repa_layer_depth",
                            size_of(repa, "repa_layer_depth", 8, 1, kMaxLayers), 1, kMaxLayers);
  const ConfigNode* target = given(repa, "target_encoder");
  out.align_width =
      size_of(params, "z_dim",
              size_of(repa, "z_dim",
                      width_of_target(target == nullptr ? "dinov2-vit-b" : target->as_string()), 1,
                      kMaxWidth),
              1, kMaxWidth);
  if (out.align_width == 0)
    raise<ConfigError>(target->where(), ": the width of the encoder '", target->as_string(),
                       "' is unknown; give stage_2.params.z_dim");
}

/// A pair of integers, backbone and head.
std::array<index_t, 2> pair_under(const ConfigNode& params, std::string_view key, index_t highest,
                                  std::array<index_t, 2> fallback) {
  const ConfigNode* found = given(params, key);
  if (found == nullptr) return fallback;
  if (!found->is_list() || found->elements().size() != 2)
    found->fail_expected("a list of two integers, backbone and head");
  return {found->elements()[0].as_integer(1, highest), found->elements()[1].as_integer(1, highest)};
}

void require_heads_within(const ConfigNode& params, const TokenBackboneConfig& c) {
  for (const auto& [key, depth] :
       {std::pair("base_model_depth", c.base_depth), std::pair("repa_layer_depth", c.align_depth)})
    if (depth > c.depth)
      raise<ConfigError>(params.where(), ": ", key, " ", depth, " is beyond the depth ", c.depth,
                         " of the backbone, so that there is nothing to put through that head");
}

Backbone parse_network(const ConfigNode& whole, const ConfigNode& node) {
  require_keys_known(node, {"target", "params", "ckpt"});
  const ConfigNode params = section(node, "params");
  require_keys_known(
      params, {"input_size", "in_channels", "patch_size", "hidden_size", "depth", "num_heads",
               "mlp_ratio", "enable_repa", "repa_layer_depth", "z_dim", "num_classes",
               "condition_type", "context_dim", "cond_arch", "use_cfg_conds", "base_model_depth"});
  const ConfigNode& target = node.at("target");
  const std::string name = target.as_string().substr(target.as_string().rfind('.') + 1);
  const bool guided = name.ends_with("IG");
  if (name == "DiTwDDTHead" || name == "DiTwDDTHeadIG") {
    TokenDitDhConfig out;
    parse_token_backbone(whole, params, guided, out);
    const auto patch = pair_under(params, "patch_size", kMaxGrid, {1, 1}),
               width = pair_under(params, "hidden_size", kMaxWidth, {1152, 2048}),
               depth = pair_under(params, "depth", kMaxLayers, {28, 2}),
               heads = pair_under(params, "num_heads", kMaxWidth, {16, 16});
    if (patch[0] != patch[1])
      raise<ConfigError>(params.at("patch_size").where(), ": the patches of backbone and head, ",
                         patch[0], " and ", patch[1], ", must give the same number of tokens");
    out.patch_size = patch[0];
    out.hidden_size = width[0];
    out.head_hidden_size = width[1];
    out.depth = depth[0];
    out.head_depth = depth[1];
    out.num_heads = heads[0];
    out.head_num_heads = heads[1];
    require_heads_within(params, out);
    Backbone backbone = out;
    backbone.validate(params.place());
    return backbone;
  }
  if (name != "LightningDiT" && name != "LightningDiTIG")
    raise<ConfigError>(target.where(),
                       ": expected the class DiTwDDTHead, DiTwDDTHeadIG, LightningDiT or "
                       "LightningDiTIG, got '",
                       target.as_string(), "'",
                       detail::suggestion(name, {"DiTwDDTHead", "DiTwDDTHeadIG", "LightningDiT",
                                                 "LightningDiTIG"}));
  TokenDitConfig out;
  parse_token_backbone(whole, params, guided, out);
  out.patch_size = size_of(params, "patch_size", 1, 1, kMaxGrid);
  out.hidden_size = size_of(params, "hidden_size", 1152, 1, kMaxWidth);
  out.depth = size_of(params, "depth", 28, 1, kMaxLayers);
  out.num_heads = size_of(params, "num_heads", 16, 1, kMaxWidth);
  require_heads_within(params, out);
  Backbone backbone = out;
  backbone.validate(params.place());
  return backbone;
}

void parse_prediction_section(const ConfigNode& node, OfficialConfig& out) {
  require_keys_known(node, {"prediction", "time_dist_type", "t_eps"});
  const std::string prediction = choice_of(node, "prediction", "velocity", {"velocity", "x"});
  out.transport.prediction = prediction == "x" ? Prediction::data : Prediction::velocity;
  out.transport.time_dist_type = "logit-normal_0_1";
  if (const ConfigNode* time = given(node, "time_dist_type"); time != nullptr) {
    if (!time->as_string().starts_with("logit-normal_"))
      time->fail_expected("logit-normal_MU_SIGMA");
    out.transport.time_dist_type = parsed(
        *time, [](const std::string& text) { return TimeDistribution::parse(text).to_string(); });
  }
  out.transport.t_eps = number_in(node, "t_eps", out.transport.t_eps, 1e-6, 1);
}

/// A section of `guidance`; absent when it is null.
template <class G>
std::optional<G> parse_guidance_of(const ConfigNode& node, std::string_view key) {
  const ConfigNode* found = given(node, key);
  if (found == nullptr) return {};
  if (key == "ig")
    require_keys_known(*found, {"scale", "t_min", "t_max", "unconditional_scale"});
  else
    require_keys_known(*found, {"scale", "t_min", "t_max"});
  G out;
  out.scale = static_cast<float>(number_in(*found, "scale", 1, -1e3, 1e3));
  // Flow times are in [0, 1], so that an end outside this range means 0 or 1.
  const auto end = [&](std::string_view name, double fallback) {
    return static_cast<float>(std::clamp(number_in(*found, name, fallback, -1e3, 1e3), 0.0, 1.0));
  };
  out.t_min = end("t_min", 0);
  out.t_max = end("t_max", 1);
  if (!(out.t_min <= out.t_max))
    raise<ConfigError>(found->where(), ": t_min ", out.t_min, " is above t_max ", out.t_max);
  return out;
}

/// Classifier-free guidance is active above 1; internal guidance above 1, or with another
/// unconditional scale than 1.
void parse_guidances(const ConfigNode& node, OfficialConfig& out) {
  require_keys_known(node, {"cfg", "ig"});
  if (const auto cfg = parse_guidance_of<Cfg>(node, "cfg"); cfg && cfg->scale > 1) {
    out.sampling.guidance = *cfg;
    out.guidance_scale = cfg->scale;
  }
  auto ig = parse_guidance_of<InternalGuidance>(node, "ig");
  if (!ig) return;
  if (const ConfigNode* scale = given(node.at("ig"), "unconditional_scale"))
    ig->unconditional_scale = static_cast<float>(scale->as_number());
  const bool other = ig->unconditional_scale && *ig->unconditional_scale != 1.0f;
  if (ig->scale > 1 || other) out.sampling.internal_guidance = *ig;
}

void parse_misc_section(const ConfigNode& node, OfficialConfig& out) {
  require_keys_known(node,
                     {"latent_size", "num_classes", "time_dist_shift_dim", "time_dist_shift_base"});
  if (const ConfigNode* size = given(node, "latent_size"); size != nullptr) {
    if (!size->is_list() || size->elements().size() != 3)
      size->fail_expected("a list of three integers [C, h, w]");
    out.latent_size = {size->elements()[0].as_integer(1, kMaxWidth),
                       size->elements()[1].as_integer(1, kMaxWidth),
                       size->elements()[2].as_integer(1, kMaxWidth)};
  }
  out.num_classes = size_of(node, "num_classes", out.num_classes, 1, kMaxClasses);
  // The default is the value for 768 channels, whatever latent_size is.
  out.time_dist_shift_dim =
      number_in(node, "time_dist_shift_dim", out.time_dist_shift_dim, 1, 1e12);
  out.time_dist_shift_base =
      number_in(node, "time_dist_shift_base", out.time_dist_shift_base, 1, 1e12);
  if (out.time_dist_shift_dim < out.time_dist_shift_base)
    raise<ConfigError>(node.where(), ": the time shift sqrt(", out.time_dist_shift_dim, " / ",
                       out.time_dist_shift_base,
                       ") (time_dist_shift_dim, time_dist_shift_base) is below 1, which is not "
                       "supported");
}

/// Checks the keys of the sections that only training and evaluation use, since the official schema
/// is closed, too.
void require_training_keys(const ConfigNode& node) {
  const auto check = [](const ConfigNode& whole, std::string_view path,
                        std::initializer_list<std::string_view> keys) {
    const ConfigNode* found = value_at(whole, path);
    if (found != nullptr && !found->is_null()) require_keys_known(*found, keys);
  };
  check(node, "training",
        {"epochs", "batch_size", "global_batch_size", "num_workers", "global_seed", "ema_decay",
         "clip_grad", "log_interval", "checkpoint_interval", "sample_every", "virtual_epoch_steps",
         "grad_accum_steps", "optimizer", "scheduler", "image_size"});
  for (const std::string part : {"training.", "gan."}) {
    check(node, part + "optimizer",
          {"type", "lr", "betas", "weight_decay", "eps", "momentum", "nesterov", "adamw_lr",
           "ns_use_kernels", "ns_coefficients_preset"});
    check(node, part + "scheduler",
          {"type", "warmup_epochs", "warmup_steps", "warmup_from_zero", "decay_end_epoch",
           "decay_end_steps", "base_lr", "final_lr"});
  }
  check(node, "gan", {"arch", "optimizer", "scheduler", "augment", "loss"});
  check(node, "dataset",
        {"target", "type", "data_dir", "split", "condition_type", "shared_tmpdir", "shuffle_buffer",
         "seed", "params", "splits", "subsets", "mix"});
  check(node, "eval", {"eval_interval", "eval_model", "eval_dir", "datasets"});
  check(node, "conditioning.text_encoder", {"model_name", "max_length"});
}

/// Checks that the sections fit each other.
void require_sections_fit(OfficialConfig& c) {
  if (!c.stage_2) return;
  const Backbone& dit = c.stage_2->backbone;
  if (c.sampling.internal_guidance && !dit.has_base_head())
    raise<ConfigError>(c.origin,
                       ": guidance.ig needs a class with a base head, whose name ends "
                       "with IG");
  if (dit.latent_shape() != c.latent_size)
    c.notes.push_back(concat(c.origin, ": misc.latent_size says ", c.latent_size,
                             ", but stage_2.params (in_channels, input_size) ", dit.latent_shape(),
                             ", which is used"));
}

}  // namespace

bool is_version_2(const ConfigNode& node) {
  const ConfigNode* target = value_at(node, "stage_2.target");
  if (target != nullptr && target->is_string() && target->as_string().ends_with("IG")) return true;
  return std::any_of(std::begin(kVersion2Keys), std::end(kVersion2Keys),
                     [&](std::string_view path) { return value_at(node, path) != nullptr; });
}

OfficialConfig parse_version_2(const ConfigNode& node) {
  require_keys_known(
      node, {"stage_1", "stage_2", "training", "dataset", "transport", "sampler", "guidance",
             "conditioning", "repa", "misc", "internal_guidance", "eval", "gan"});
  OfficialConfig out;
  out.origin = node.where();
  out.version_2 = true;
  require_labels(node);
  require_training_keys(node);
  if (const ConfigNode* stage = given(node, "stage_1"); stage != nullptr)
    out.stage_1 = parse_autoencoder(*stage);
  if (const ConfigNode* stage = given(node, "stage_2"); stage != nullptr)
    out.stage_2 =
        OfficialStage2{parse_network(node, *stage), path_under(*stage, "ckpt"), stage->where()};
  if (!out.stage_1 && !out.stage_2)
    raise<ConfigError>(out.origin,
                       ": expected a section stage_1 or stage_2, as the official files have");
  parse_misc_section(section(node, "misc"), out);
  parse_prediction_section(section(node, "transport"), out);
  out.sampling.grid = TimeGridKind::full;
  out.sampling.solver = Solver::euler;
  const ConfigNode sampler = section(node, "sampler");
  require_keys_known(sampler, {"num_steps"});
  out.sampling.steps = size_of(sampler, "num_steps", 50, 1, kMaxSamplingSteps);
  parse_guidances(section(node, "guidance"), out);
  require_sections_fit(out);
  return out;
}

}  // namespace rae::official
