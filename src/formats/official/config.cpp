#include "rae/formats/official/config.hpp"

#include <algorithm>
#include <cmath>

#include "formats/official/training_sections.hpp"
#include "formats/official/transformer.hpp"
#include "formats/official/version_2.hpp"
#include "rae/diffusion/time_distribution.hpp"
#include "rae/diffusion/time_shift.hpp"
#include "rae/spec/limits.hpp"

namespace rae {
namespace {

using official::choice_of;
using official::given;
using official::Notes;
using official::number_in;
using official::parsed;
using official::size_of;

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

/// The name of the class in `target`, without its module.
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

/// The encoder's family and the path of its weights.
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
                         "model of the release was trained; the encoders of rae do not "
                         "have them");
    out.encoder_path = required_path(own, "dinov2_path");
    return;
  }
  out.family = name == "MAEwNorm" ? EncoderFamily::mae : EncoderFamily::siglip2;
  if (out.family == EncoderFamily::mae)
    require_keys_known(own, {"model_name"});
  else
    require_keys_known(own, {"model_name", "num_tokens"});
  (void)size_of(own, "num_tokens", 256, 1,
                kMaxWidth);  // the official class never uses it
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
      size_of(params, "encoder_input_size", out.encoder_input_size, 1, kMaxModelImageSize);
  out.decoder_config_path = required_path(params, "decoder_config_path");
  out.decoder_patch_size =
      size_of(params, "decoder_patch_size", out.decoder_patch_size, 1, kMaxModelImageSize);
  out.pretrained_decoder_path = path_of(params, "pretrained_decoder_path");
  out.ckpt = path_of(node, "ckpt");
  out.normalization_stat_path = path_of(params, "normalization_stat_path");
  out.noise_tau = number_in(params, "noise_tau", out.noise_tau, 0, 1e3);
  out.eps = number_in(params, "eps", out.eps, 0, 1);
  if (!params.get_or("reshape_to_2d", true))
    raise<ConfigError>(
        params.at("reshape_to_2d").where(),
        ": false keeps latents as sequences of tokens; rae supports only grids (B, C, h, w)");
  return out;
}

// --- stage_2

OfficialStage2 parse_stage_2(const ConfigNode& node, Notes& notes) {
  require_keys_known(node, {"target", "params", "ckpt"});
  const std::string name = target_of(node, {"DiTwDDTHead", "LightningDiT"});
  return {official::parse_transformer(name, params_of(node), notes), path_of(node, "ckpt"),
          node.where()};
}

// --- transport, sampler, guidance, misc

void parse_transport(const ConfigNode& node, OfficialConfig& out) {
  require_keys_known(node, {"params"});
  const ConfigNode params = params_of(node);
  if (given(params, "time_dist_shift") != nullptr)
    raise<ConfigError>(params.at("time_dist_shift").where(),
                       ": the shift is computed from misc.time_dist_shift_dim and "
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
    out.notes.push_back(
        params.at("sample_eps").where() +
        ": has no effect for the velocity on this path, in the official code and here");
    out.sampling.sample_eps.reset();
  } else if (!everywhere && !out.sampling.sample_eps) {
    out.notes.push_back(
        concat(node.where(), ": no sample_eps, without which the official code fails for path ",
               name_of(transport.path), " and prediction ", name_of(transport.prediction),
               "; rae uses 0.001, the intended value"));
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
    raise<ConfigError>(params.at("reverse").where(),
                       ": true integrates from pictures to noise, so that no pictures are "
                       "generated; expected false");
}

void parse_sde(const ConfigNode& params, PathKind path, SamplingDefaults& out, Notes& notes) {
  require_keys_known(params, {"sampling_method", "diffusion_form", "diffusion_norm", "last_step",
                              "last_step_size", "num_steps"});
  const ConfigNode* method = given(params, "sampling_method");
  if (method != nullptr) out.sde.solver = parsed(*method, parse_sde_solver);
  if (method == nullptr || method->as_string() == "Euler" || method->as_string() == "Heun")
    notes.push_back(concat(params.where(),
                           ".sampling_method: the official code accepts only 'euler' and 'heun', "
                           "although its default is 'Euler'; rae uses ",
                           name_of(out.sde.solver)));
  const ConfigNode* form = given(params, "diffusion_form");
  out.sde.form = form == nullptr ? DiffusionForm::sbdm : parsed(*form, parse_diffusion_form);
  if (out.sde.form == DiffusionForm::sbdm && path != PathKind::vp)
    raise<ConfigError>(params.where(), ".diffusion_form: SBDM",
                       form == nullptr ? ", the official default," : "",
                       " gives NaN in the official code on the path ", name_of(path),
                       " and is infinite at t = 1, where sampling begins; use sigma, linear, "
                       "decreasing or inccreasing-decreasing");
  if (out.sde.form == DiffusionForm::constant)
    notes.push_back(
        form->where() +
        ": the official code fails on 'constant'; rae uses the intended D = diffusion_norm");
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

/// An end of the guidance interval; the files of the release write its key with a hyphen.
float interval_end(const ConfigNode& node, std::string_view key, std::string_view hyphenated,
                   double fallback) {
  const ConfigNode *plain = given(node, key), *dashed = given(node, hyphenated);
  if (plain != nullptr && dashed != nullptr && *plain != *dashed)
    raise<ConfigError>(node.where(), ": ", key, " and ", hyphenated,
                       " are both given and differ; remove one");
  // Flow times are in [0, 1], so that an end outside this range means 0 or 1.
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
                        ": t-min and t-max are written with a hyphen: sample.py reads only t_min "
                        "and t_max and therefore ignores them; sample_ddp.py and rae accept both "
                        "spellings");
  if (!(t_min <= t_max))
    raise<ConfigError>(node.where(), ": t_min ", t_min, " is above t_max ", t_max);
  if (const ConfigNode* model = given(node, "guidance_model"); model != nullptr)
    out.guide = parse_stage_2(*model, out.notes);
  const float scale = std::max(1.0f, out.guidance_scale);
  if (out.guidance_scale < 1)
    out.notes.push_back(concat(node.where(), ".scale: ", out.guidance_scale,
                               " switches guidance off; the official programs guide only above 1"));
  if (method == "cfg") {
    out.sampling.guidance = {scale, t_min, t_max};
    return;
  }
  out.sampling.autoguidance = AutoGuidance{scale, t_min, t_max};
  if (scale > 1 && !out.guide)
    raise<ConfigError>(node.where(),
                       ": autoguidance needs the key 'guidance_model', which is missing");
}

void parse_misc(const ConfigNode& node, OfficialConfig& out) {
  require_keys_known(node, {"latent_size", "num_classes", "null_label", "time_dist_shift_dim",
                            "time_dist_shift_base"});
  if (const ConfigNode* size = given(node, "latent_size"); size != nullptr) {
    if (!size->is_list() || size->elements().size() != 3)
      size->fail_expected("a list of three integers [C, h, w]");
    for (int i = 0; i < 3; ++i)
      (void)size->elements()[static_cast<std::size_t>(i)].as_integer(1, kMaxWidth);
    out.latent_size = {size->elements()[0].as_integer(), size->elements()[1].as_integer(),
                       size->elements()[2].as_integer()};
  }
  out.num_classes = size_of(node, "num_classes", out.num_classes, 1, kMaxClasses);
  if (size_of(node, "null_label", out.num_classes, 0, kMaxClasses) != out.num_classes)
    node.at("null_label")
        .fail_expected(concat(out.num_classes,
                              ", the number of classes, which is the label of the null class"));
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

/// Checks that the sections fit each other.
void require_fit(OfficialConfig& c) {
  const std::string where = c.origin;
  if (!c.stage_2) return;
  const Backbone& dit = c.stage_2->backbone;
  if (dit.latent_shape() != c.latent_size)
    raise<ConfigError>(where, ": misc.latent_size says ", c.latent_size,
                       ", stage_2.params (in_channels, input_size) ", dit.latent_shape());
  if (dit.num_classes() != c.num_classes)
    raise<ConfigError>(where, ": misc.num_classes says ", c.num_classes, ", stage_2.params ",
                       dit.num_classes());
  if (c.guide)
    if (const Backbone& guide = c.guide->backbone;
        guide.latent_shape() != dit.latent_shape() || guide.num_classes() != dit.num_classes())
      raise<ConfigError>(where, ": guidance.guidance_model takes latents ", guide.latent_shape(),
                         " of ", guide.num_classes(), " classes, stage_2 ", dit.latent_shape(),
                         " of ", dit.num_classes());
  if (c.sampling.guidance.scale > 1 && !dit.has_null_class())
    raise<ConfigError>(where,
                       ": guidance by cfg needs the null class, which a model of "
                       "class_dropout_prob 0 does not have");
  if (!official::is_guided(dit) &&
      (c.sampling.guidance.scale > 1 ||
       (c.sampling.autoguidance && c.sampling.autoguidance->scale > 1)))
    c.notes.push_back(where +
                      ": the official programs cannot guide a LightningDiT; rae guides it as a "
                      "DiTwDDTHead");
  if (c.time_dist_shift_dim != static_cast<double>(c.latent_size.numel()))
    c.notes.push_back(concat(where, ": misc.time_dist_shift_dim is ",
                             static_cast<index_t>(c.time_dist_shift_dim),
                             ", not the size of a latent, ", c.latent_size.numel()));
  if (c.stage_1 && c.stage_1->encoder_input_size == 448 && c.latent_size == Shape{768, 16, 16})
    c.notes.push_back(where +
                      ": this is the outdated 512 px training file of the release: pictures of "
                      "448 give latents of 32 x 32, so input_size must be 32, latent_size "
                      "[768, 32, 32] and time_dist_shift_dim 786432, as in "
                      "DiTDH-XL_DINOv2-B_decXL_AG.yaml");
}

}  // namespace

double OfficialConfig::time_shift() const {
  return dimension_shift(time_dist_shift_dim, time_dist_shift_base);
}

OfficialConfig parse_official_config(const ConfigNode& node) {
  if (official::is_version_2(node)) return official::parse_version_2(node);
  // The official training adds the last three to the copy of the configuration that it saves.
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
