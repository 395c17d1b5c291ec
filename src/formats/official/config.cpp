#include "rae/formats/official/config.hpp"

#include <algorithm>
#include <cmath>

#include "formats/official/training_sections.hpp"
#include "rae/diffusion/time_distribution.hpp"
#include "rae/diffusion/time_shift.hpp"

namespace rae {
namespace {

using official::choice_of;
using official::given;
using official::Notes;
using official::number_in;
using official::parsed;
using official::size_of;

constexpr index_t kMostWidth = 1 << 16, kMostLayers = 1024, kMostClasses = 1 << 20,
                  kMostSide = 4096;

/// A path or an id; "" when it is missing.
std::string path_of(const ConfigNode& node, std::string_view key) {
  const ConfigNode* found = given(node, key);
  if (found == nullptr) return {};
  if (found->as_string().empty() || found->as_string().size() > 4096)
    found->fail_expected("a path");
  return found->as_string();
}

std::string required_path(const ConfigNode& node, std::string_view key) {
  (void)node.at(key);
  std::string path = path_of(node, key);
  if (path.empty()) node.at(key).fail_expected("a path");
  return path;
}

/// The class that `target` names, by its last word.
std::string target_of(const ConfigNode& node, std::initializer_list<std::string_view> classes) {
  const ConfigNode& target = node.at("target");
  const std::string& text = target.as_string();
  const std::string name = text.substr(text.rfind('.') + 1);
  std::string all;
  for (const std::string_view each : classes) {
    if (name == each) return name;
    all += concat(all.empty() ? "" : " or ", each);
  }
  raise<ConfigError>(
      target.where(), ": expected the class ", all, ", got '", text, "'",
      detail::suggestion(name, std::vector<std::string>(classes.begin(), classes.end())));
}

/// `params`, which may be missing.
ConfigNode params_of(const ConfigNode& node) {
  const ConfigNode* params = given(node, "params");
  if (params == nullptr) return ConfigNode::map();
  (void)params->members();
  return *params;
}

// --- stage_1
// -----------------------------------------------------------------------------------------------------------------

/// The encoder's class and where its weights are.
void parse_encoder(const ConfigNode& params, OfficialStage1& out) {
  const std::string name = choice_of(params, "encoder_cls", "Dinov2withNorm",
                                     {"Dinov2withNorm", "SigLIP2wNorm", "MAEwNorm"});
  const ConfigNode& own = params.at("encoder_params");
  if (name == "Dinov2withNorm") {
    out.family = EncoderFamily::dinov2;
    require_keys_known(own, {"dinov2_path", "normalize"});
    if (!own.get_or("normalize", true))
      raise<ConfigError>(own.at("normalize").where(),
                         ": false keeps the weights of the encoder's last LayerNorm, for which no "
                         "model of the release was trained; rae has "
                         "encoders without them only");
    out.encoder_path = required_path(own, "dinov2_path");
    return;
  }
  out.family = name == "MAEwNorm" ? EncoderFamily::mae : EncoderFamily::siglip2;
  if (out.family == EncoderFamily::mae)
    require_keys_known(own, {"model_name"});
  else
    require_keys_known(own, {"model_name", "num_tokens"});
  (void)size_of(own, "num_tokens", 256, 1,
                kMostWidth);  // the official class stores it and never looks at it
  out.encoder_path = required_path(own, "model_name");
}

OfficialStage1 parse_stage_1(const ConfigNode& node) {
  require_keys_known(node, {"target", "params", "ckpt"});
  (void)target_of(node, {"RAE"});
  const ConfigNode& params = node.at("params");
  require_keys_known(
      params, {"encoder_cls", "encoder_config_path", "encoder_input_size", "encoder_params",
               "decoder_config_path", "decoder_patch_size", "pretrained_decoder_path", "noise_tau",
               "reshape_to_2d", "normalization_stat_path", "eps"});
  OfficialStage1 out;
  parse_encoder(params, out);
  out.encoder_config_path = required_path(params, "encoder_config_path");
  out.encoder_input_size =
      size_of(params, "encoder_input_size", out.encoder_input_size, 1, kMostSide);
  out.decoder_config_path = required_path(params, "decoder_config_path");
  out.decoder_patch_size =
      size_of(params, "decoder_patch_size", out.decoder_patch_size, 1, kMostSide);
  out.pretrained_decoder_path = path_of(params, "pretrained_decoder_path");
  out.ckpt = path_of(node, "ckpt");
  out.normalization_stat_path = path_of(params, "normalization_stat_path");
  out.noise_tau = number_in(params, "noise_tau", out.noise_tau, 0, 1e3);
  out.eps = number_in(params, "eps", out.eps, 0, 1);
  if (!params.get_or("reshape_to_2d", true))
    raise<ConfigError>(params.at("reshape_to_2d").where(),
                       ": false leaves latents as rows of tokens; rae has grids (B, C, h, w) only");
  return out;
}

// --- stage_2
// -----------------------------------------------------------------------------------------------------------------

void require_heads(const ConfigNode& params, index_t width, index_t heads, bool rope) {
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

/// What both classes have in common.
template <class Config>
void parse_common(const ConfigNode& params, Config& out) {
  out.in_channels = size_of(params, "in_channels", out.in_channels, 1, kMostWidth);
  out.mlp_ratio = number_in(params, "mlp_ratio", out.mlp_ratio, 0.01, 64);
  out.num_classes = size_of(params, "num_classes", out.num_classes, 1, kMostClasses);
  out.class_dropout_prob = number_in(params, "class_dropout_prob", out.class_dropout_prob, 0, 1);
  out.use_swiglu = params.get_or("use_swiglu", out.use_swiglu);
  out.use_rmsnorm = params.get_or("use_rmsnorm", out.use_rmsnorm);
  out.use_rope = params.get_or("use_rope", out.use_rope);
  out.use_qknorm = params.get_or("use_qknorm", out.use_qknorm);
  if (params.get_or("wo_shift", false))
    raise<ConfigError>(
        params.at("wo_shift").where(),
        ": true has blocks without shifts, which the official code itself cannot run");
}

DitDhConfig parse_dit_dh(const ConfigNode& params, Notes& notes) {
  require_keys_known(
      params, {"input_size", "patch_size", "in_channels", "hidden_size", "depth", "num_heads",
               "mlp_ratio", "class_dropout_prob", "num_classes", "use_qknorm", "use_swiglu",
               "use_rope", "use_rmsnorm", "wo_shift", "use_pos_embed"});
  DitDhConfig out;
  out.grid_h = out.grid_w = params.at("input_size").as_integer(1, kMostSide);
  index_t patch[2] = {1, 1};
  pair_of(params, "patch_size", kMostSide, true, patch);
  if (patch[0] != 1 || patch[1] != 1)
    raise<ConfigError>(
        params.at("patch_size").where(),
        ": a DiTwDDTHead has patches of 1; the official class cannot run with others");
  parse_common(params, out);
  pair_of(params, "hidden_size", kMostWidth, false, out.hidden_size);
  pair_of(params, "depth", kMostLayers, false, out.depth);
  pair_of(params, "num_heads", kMostWidth, true, out.num_heads);
  out.use_pos_embed = params.get_or("use_pos_embed", out.use_pos_embed);
  for (std::size_t i = 0; i < 2; ++i)
    require_heads(params, out.hidden_size[i], out.num_heads[i], out.use_rope);
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
  out.input_h = out.input_w = size_of(params, "input_size", 16, 1, kMostSide);
  out.patch_size = size_of(params, "patch_size", 1, 1, kMostSide);
  if (out.input_h % out.patch_size != 0)
    raise<ConfigError>(params.where(), ": an input_size of ", out.input_h,
                       " does not divide into patches of ", out.patch_size);
  parse_common(params, out);
  out.hidden_size = size_of(params, "hidden_size", out.hidden_size, 1, kMostWidth);
  out.depth = size_of(params, "depth", out.depth, 1, kMostLayers);
  out.num_heads = size_of(params, "num_heads", out.num_heads, 1, kMostWidth);
  out.learn_sigma = params.get_or("learn_sigma", out.learn_sigma);
  require_heads(params, out.hidden_size, out.num_heads, out.use_rope);
  if (!params.get_or("use_gembed", true))
    notes.push_back(params.at("use_gembed").where() +
                    ": does nothing, in the official code as here");
  return out;
}

OfficialStage2 parse_stage_2(const ConfigNode& node, Notes& notes) {
  require_keys_known(node, {"target", "params", "ckpt"});
  OfficialStage2 out;
  out.where = node.where();
  out.ckpt = path_of(node, "ckpt");
  if (target_of(node, {"DiTwDDTHead", "LightningDiT"}) == "DiTwDDTHead")
    out.dit = parse_dit_dh(params_of(node), notes);
  else
    out.lightning_dit = parse_lightning_dit(params_of(node), notes);
  return out;
}

// --- transport, sampler, guidance, misc
// --------------------------------------------------------------------------------------

void parse_transport(const ConfigNode& node, OfficialConfig& out) {
  require_keys_known(node, {"params"});
  const ConfigNode params = params_of(node);
  if (given(params, "time_dist_shift") != nullptr)
    raise<ConfigError>(params.at("time_dist_shift").where(),
                       ": the shift comes from misc.time_dist_shift_dim and "
                       "misc.time_dist_shift_base, as in the official programs");
  require_keys_known(params, {"path_type", "prediction", "loss_weight", "train_eps", "sample_eps",
                              "time_dist_type"});
  OfficialTransport& transport = out.transport;
  if (const ConfigNode* path = given(params, "path_type"); path != nullptr)
    transport.path = parsed(*path, parse_path_kind);
  const std::string prediction =
      choice_of(params, "prediction", "velocity", {"velocity", "noise", "score"});
  transport.prediction = parse_prediction(prediction);
  transport.loss_weight =
      choice_of(params, "loss_weight", "none", {"none", "velocity", "likelihood"});
  if (const ConfigNode* time = given(params, "time_dist_type"); time != nullptr)
    transport.time_dist_type = parsed(
        *time, [](const std::string& text) { return TimeDistribution::parse(text).to_string(); });
  if (given(params, "train_eps") != nullptr)
    transport.train_eps = number_in(params, "train_eps", 0, 0, 0.499);
  const bool everywhere =
      transport.path != PathKind::vp && transport.prediction == Prediction::velocity;
  if (given(params, "sample_eps") != nullptr)
    out.sampling.sample_eps = number_in(params, "sample_eps", 0, 0, 0.499);
  if (everywhere && out.sampling.sample_eps) {
    out.notes.push_back(params.at("sample_eps").where() +
                        ": not used for the velocity on this path, in the official code as here");
    out.sampling.sample_eps.reset();
  } else if (!everywhere && !out.sampling.sample_eps) {
    out.notes.push_back(
        concat(node.where(), ": no sample_eps, without which the official code fails for path ",
               name_of(transport.path), " and prediction ", name_of(transport.prediction),
               "; rae takes 0.001, which was meant"));
  }
}

void parse_ode(const ConfigNode& params, SamplingDefaults& out) {
  require_keys_known(params, {"sampling_method", "num_steps", "atol", "rtol", "reverse"});
  out.solver = OdeSolver(AdaptiveSolver::dopri5);
  if (const ConfigNode* method = given(params, "sampling_method"); method != nullptr)
    out.solver = parsed(*method, parse_ode_solver);
  out.steps = size_of(params, "num_steps", 50, 2, kMaxSamplingSteps);
  out.atol = number_in(params, "atol", 1e-6, 0, 1);
  out.rtol = number_in(params, "rtol", 1e-3, 0, 1);
  if (params.get_or("reverse", false))
    raise<ConfigError>(
        params.at("reverse").where(),
        ": true goes from pictures to noise, which is no way to make pictures; expected false");
}

void parse_sde(const ConfigNode& params, PathKind path, SamplingDefaults& out, Notes& notes) {
  require_keys_known(params, {"sampling_method", "diffusion_form", "diffusion_norm", "last_step",
                              "last_step_size", "num_steps"});
  const ConfigNode* method = given(params, "sampling_method");
  if (method != nullptr) out.sde.solver = parsed(*method, parse_sde_solver);
  if (method == nullptr || method->as_string() == "Euler" || method->as_string() == "Heun")
    notes.push_back(concat(params.where(),
                           ".sampling_method: the official code knows 'euler' and 'heun' only, "
                           "though its own default is "
                           "'Euler'; rae takes ",
                           name_of(out.sde.solver)));
  const ConfigNode* form = given(params, "diffusion_form");
  out.sde.form = form == nullptr ? DiffusionForm::sbdm : parsed(*form, parse_diffusion_form);
  if (out.sde.form == DiffusionForm::sbdm && path != PathKind::vp)
    raise<ConfigError>(params.where(), ".diffusion_form: SBDM",
                       form == nullptr ? ", the official default," : "",
                       " gives NaN in the official code on the path ", name_of(path),
                       " and is infinite at the noise, where sampling begins; use sigma, linear, "
                       "decreasing or inccreasing-decreasing");
  if (out.sde.form == DiffusionForm::constant)
    notes.push_back(
        form->where() +
        ": the official code fails on 'constant'; rae takes D = diffusion_norm, which was meant");
  out.sde.norm = number_in(params, "diffusion_norm", 1, 0, 1e6);
  out.sde.last_step = SdeLastStep::mean;
  if (const ConfigNode* last = params.find("last_step"); last != nullptr)
    out.sde.last_step = last->is_null() ? SdeLastStep::none : parsed(*last, parse_sde_last_step);
  out.sde.last_step_size = number_in(params, "last_step_size", 0.04, 0, 0.999);
  if (out.sde.last_step == SdeLastStep::none) out.sde.last_step_size = 0;
  if (out.sde.last_step != SdeLastStep::none && out.sde.last_step_size == 0)
    params.at("last_step_size").fail_expected("a number above 0 for a last step");
  out.steps = size_of(params, "num_steps", 250, 2, kMaxSamplingSteps);
}

void parse_sampler(const ConfigNode& node, OfficialConfig& out) {
  require_keys_known(node, {"mode", "params"});
  const ConfigNode params = params_of(node);
  out.sampling.kind = SamplerKind::ode;
  if (const ConfigNode* mode = given(node, "mode"); mode != nullptr)
    out.sampling.kind = parsed(*mode, parse_sampler_kind);
  if (out.sampling.kind == SamplerKind::ode)
    parse_ode(params, out.sampling);
  else
    parse_sde(params, out.transport.path, out.sampling, out.notes);
}

/// An end of the guidance interval, which the shipped files write with a hyphen.
float interval_end(const ConfigNode& node, std::string_view key, std::string_view hyphenated,
                   double fallback) {
  const ConfigNode *plain = given(node, key), *dashed = given(node, hyphenated);
  if (plain != nullptr && dashed != nullptr && *plain != *dashed)
    raise<ConfigError>(node.where(), ": ", key, " and ", hyphenated,
                       " are both given and differ; remove one");
  // Flow times lie in [0, 1], so that an end beyond says the same as the end of the flow.
  const double value = plain != nullptr    ? plain->as_number()
                       : dashed != nullptr ? dashed->as_number()
                                           : fallback;
  return static_cast<float>(std::clamp(value, 0.0, 1.0));
}

void parse_guidance(const ConfigNode& node, OfficialConfig& out) {
  require_keys_known(node,
                     {"method", "scale", "t_min", "t_max", "t-min", "t-max", "guidance_model"});
  const std::string method = choice_of(node, "method", "cfg", {"cfg", "autoguidance"});
  out.guidance_scale = static_cast<float>(number_in(node, "scale", 1, -1e3, 1e3));
  const float t_min = interval_end(node, "t_min", "t-min", 0),
              t_max = interval_end(node, "t_max", "t-max", 1);
  if (given(node, "t-min") != nullptr || given(node, "t-max") != nullptr)
    out.notes.push_back(node.where() +
                        ": t-min and t-max are written with a hyphen: sample.py reads t_min and "
                        "t_max only and so ignores them, sample_ddp.py "
                        "and rae read both spellings");
  if (!(t_min <= t_max))
    raise<ConfigError>(node.where(), ": t_min ", t_min, " is above t_max ", t_max);
  if (const ConfigNode* model = given(node, "guidance_model"); model != nullptr)
    out.guide = parse_stage_2(*model, out.notes);
  const float scale = std::max(1.0f, out.guidance_scale);
  if (out.guidance_scale < 1)
    out.notes.push_back(concat(node.where(), ".scale: ", out.guidance_scale,
                               " is no guidance; the official programs guide above 1 only"));
  if (method == "cfg") {
    out.sampling.guidance = {scale, t_min, t_max};
    return;
  }
  out.sampling.autoguidance = AutoGuidance{scale, t_min, t_max};
  if (scale > 1 && !out.guide)
    raise<ConfigError>(node.where(),
                       ": the key 'guidance_model' is missing, which autoguidance needs");
}

void parse_misc(const ConfigNode& node, OfficialConfig& out) {
  require_keys_known(node, {"latent_size", "num_classes", "null_label", "time_dist_shift_dim",
                            "time_dist_shift_base"});
  if (const ConfigNode* size = given(node, "latent_size"); size != nullptr) {
    if (!size->is_list() || size->elements().size() != 3)
      size->fail_expected("a list of three integers [C, h, w]");
    for (int i = 0; i < 3; ++i)
      (void)size->elements()[static_cast<std::size_t>(i)].as_integer(1, kMostWidth);
    out.latent_size = {size->elements()[0].as_integer(), size->elements()[1].as_integer(),
                       size->elements()[2].as_integer()};
  }
  out.num_classes = size_of(node, "num_classes", out.num_classes, 1, kMostClasses);
  if (size_of(node, "null_label", out.num_classes, 0, kMostClasses) != out.num_classes)
    node.at("null_label")
        .fail_expected(concat(out.num_classes,
                              ", the row behind the classes, which is trained as the null class"));
  out.time_dist_shift_dim =
      number_in(node, "time_dist_shift_dim", static_cast<double>(out.latent_size.numel()), 1, 1e12);
  out.time_dist_shift_base =
      number_in(node, "time_dist_shift_base", out.time_dist_shift_base, 1e-3, 1e12);
  if (out.time_dist_shift_dim < out.time_dist_shift_base)
    raise<ConfigError>(node.where(), ": the time shift sqrt(", out.time_dist_shift_dim, " / ",
                       out.time_dist_shift_base,
                       ") (time_dist_shift_dim, time_dist_shift_base) is below 1, which the "
                       "official code refuses");
}

/// Mistakes between sections.
void require_fit(OfficialConfig& c) {
  const std::string where = c.origin;
  if (!c.stage_2) return;
  const OfficialStage2& dit = *c.stage_2;
  if (dit.latent_shape() != c.latent_size)
    raise<ConfigError>(where, ": misc.latent_size says ", c.latent_size,
                       ", stage_2.params (in_channels, input_size) ", dit.latent_shape());
  if (dit.num_classes() != c.num_classes)
    raise<ConfigError>(where, ": misc.num_classes says ", c.num_classes, ", stage_2.params ",
                       dit.num_classes());
  if (c.guide && (c.guide->latent_shape() != dit.latent_shape() ||
                  c.guide->num_classes() != dit.num_classes()))
    raise<ConfigError>(where, ": guidance.guidance_model takes latents ", c.guide->latent_shape(),
                       " of ", c.guide->num_classes(), " classes, stage_2 ", dit.latent_shape(),
                       " of ", dit.num_classes());
  if (c.sampling.guidance.scale > 1 && !dit.has_null_class())
    raise<ConfigError>(where,
                       ": guidance by cfg needs the null class, which a model of "
                       "class_dropout_prob 0 does not have");
  if (dit.lightning_dit && (c.sampling.guidance.scale > 1 ||
                            (c.sampling.autoguidance && c.sampling.autoguidance->scale > 1)))
    c.notes.push_back(where +
                      ": the official programs cannot guide a LightningDiT; rae does, by the rules "
                      "of DiTwDDTHead");
  if (c.time_dist_shift_dim != static_cast<double>(c.latent_size.numel()))
    c.notes.push_back(concat(where, ": misc.time_dist_shift_dim is ",
                             static_cast<index_t>(c.time_dist_shift_dim),
                             ", not the size of a latent, ", c.latent_size.numel()));
  if (c.stage_1 && c.stage_1->encoder_input_size == 448 && c.latent_size == Shape{768, 16, 16})
    c.notes.push_back(where +
                      ": this is the stale 512 px training file of the release: pictures of 448 "
                      "make latents of 32 x 32, so input_size must "
                      "be 32, latent_size [768, 32, 32] and time_dist_shift_dim 786432, as in "
                      "DiTDH-XL_DINOv2-B_decXL_AG.yaml");
}

}  // namespace

Shape OfficialStage2::latent_shape() const {
  if (dit) return {dit->in_channels, dit->grid_h, dit->grid_w};
  return {lightning_dit->in_channels, lightning_dit->input_h, lightning_dit->input_w};
}

index_t OfficialStage2::num_classes() const {
  return dit ? dit->num_classes : lightning_dit->num_classes;
}

bool OfficialStage2::has_null_class() const {
  return (dit ? dit->class_dropout_prob : lightning_dit->class_dropout_prob) > 0;
}

double OfficialConfig::time_shift() const {
  return dimension_shift(time_dist_shift_dim, time_dist_shift_base);
}

OfficialConfig parse_official_config(const ConfigNode& node) {
  // A run of the official training adds the last three to the copy that it saves.
  require_keys_known(
      node, {"stage_1", "stage_2", "transport", "sampler", "guidance", "misc", "training", "gan",
             "eval", "cmd_args", "experiment_dir", "checkpoint_dir"});
  OfficialConfig out;
  out.origin = node.where();
  if (const ConfigNode* section = given(node, "stage_1"); section != nullptr)
    out.stage_1 = parse_stage_1(*section);
  if (const ConfigNode* section = given(node, "stage_2"); section != nullptr)
    out.stage_2 = parse_stage_2(*section, out.notes);
  if (!out.stage_1 && !out.stage_2)
    raise<ConfigError>(out.origin,
                       ": expected a section stage_1 or stage_2, as the official files have");
  if (const ConfigNode* section = given(node, "misc"); section != nullptr)
    parse_misc(*section, out);
  if (const ConfigNode* section = given(node, "transport"); section != nullptr)
    parse_transport(*section, out);
  out.sampling.grid = TimeGridKind::official;
  out.sampling.solver = OdeSolver(AdaptiveSolver::dopri5);
  if (const ConfigNode* section = given(node, "sampler"); section != nullptr)
    parse_sampler(*section, out);
  if (const ConfigNode* section = given(node, "guidance"); section != nullptr)
    parse_guidance(*section, out);
  if (const ConfigNode* section = given(node, "training"); section != nullptr)
    out.training = official::parse_training(*section, out.stage_2.has_value(), out.notes);
  if (const ConfigNode* section = given(node, "gan"); section != nullptr)
    out.gan = official::parse_gan(*section);
  if (const ConfigNode* section = given(node, "eval"); section != nullptr)
    out.eval = official::parse_eval(*section);
  require_fit(out);
  return out;
}

OfficialConfig load_official_config(const std::string& path) {
  return parse_official_config(ConfigNode::load(path));
}

}  // namespace rae
