#include "formats/official/write_config.hpp"

#include "formats/official/transformer.hpp"
#include "formats/official/values.hpp"
#include "formats/official/write_version_2.hpp"

#include <algorithm>
#include <cmath>

namespace rae::official {
namespace {

bool is_square(const Shape& shape) { return shape[1] == shape[2]; }

ConfigNode channels_of(const std::array<double, 3>& values, index_t channels) {
  ConfigNode::List out(values.begin(), values.begin() + std::min<index_t>(3, channels));
  return ConfigNode::list(std::move(out));
}

/// config.json of DINOv3.
ConfigNode dinov3_json(const EncoderConfig& c, bool key_bias) {
  return ConfigNode::map({{"model_type", "dinov3_vit"},
                          {"architectures", ConfigNode::list({"DINOv3ViTModel"})},
                          {"hidden_size", c.hidden_size},
                          {"intermediate_size", c.intermediate_size},
                          {"num_hidden_layers", c.num_layers},
                          {"num_attention_heads", c.num_heads},
                          {"num_channels", c.channels},
                          {"num_register_tokens", c.registers},
                          {"image_size", c.table_h * c.patch_size},
                          {"patch_size", c.patch_size},
                          {"layer_norm_eps", c.layer_norm_eps},
                          {"rope_theta", c.rope_theta},
                          {"use_gated_mlp", c.gated_mlp},
                          {"hidden_act", c.gated_mlp ? "silu" : "gelu"},
                          {"query_bias", true},
                          {"key_bias", key_bias},
                          {"value_bias", true},
                          {"proj_bias", true},
                          {"mlp_bias", true}});
}

/// The smallest ratio with int(width * ratio) = hidden.
double mlp_ratio(index_t width, index_t hidden) {
  const auto w = static_cast<double>(width);
  double ratio = static_cast<double>(hidden) / w;
  while (static_cast<index_t>(w * ratio) < hidden) ratio = std::nextafter(ratio, 2 * ratio);
  return ratio;
}

ConfigNode stage_1(const ModelFiles& files) {
  const ModelConfig& c = files.config;
  const EncoderFamily family = c.encoder.get<EncoderConfig>().family;
  const bool dino = family == EncoderFamily::dinov2;
  ConfigNode own = ConfigNode::map({{dino ? "dinov2_path" : "model_name", "encoder"}});
  if (dino) own.set("normalize", true);
  ConfigNode params =
      ConfigNode::map({{"encoder_cls", dino                           ? "Dinov2withNorm"
                                       : family == EncoderFamily::mae ? "MAEwNorm"
                                                                      : "SigLIP2wNorm"},
                       {"encoder_config_path", "encoder"},
                       {"encoder_input_size", c.encoder_input_shape()[1]},
                       {"encoder_params", own},
                       {"decoder_config_path", "decoder"},
                       {"decoder_patch_size", c.decoder->patch_size},
                       {"pretrained_decoder_path", "decoder/model.pt"},
                       {"noise_tau", 0.0},
                       {"reshape_to_2d", true}});
  if (!files.latent_norm.mean.empty() || !files.latent_norm.var.empty())
    params.set("normalization_stat_path", "stats/stat.pt");
  return ConfigNode::map({{"target", "stage1.RAE"}, {"params", params}});
}

ConfigNode transport(const ModelConfig& c) {
  constexpr std::string_view kPaths[] = {"Linear", "GVP", "VP"};
  ConfigNode params = ConfigNode::map({{"path_type", kPaths[static_cast<std::size_t>(c.path)]},
                                       {"prediction", name_of(c.prediction)}});
  if (c.sampling.sample_eps) params.set("sample_eps", *c.sampling.sample_eps);
  return ConfigNode::map({{"params", params}});
}

ConfigNode sampler(const SamplingDefaults& s) {
  const bool full = s.grid == TimeGridKind::full;
  if (s.kind == SamplerKind::ode) {
    const std::string_view solver = name_of(s.solver);
    return ConfigNode::map(
        {{"mode", "ODE"},
         {"params", ConfigNode::map({{"sampling_method", solver == "heun" ? "heun2" : solver},
                                     {"num_steps", s.steps + (full ? 1 : 0)},
                                     {"atol", s.atol},
                                     {"rtol", s.rtol},
                                     {"reverse", false}})}});
  }
  constexpr std::string_view kLastSteps[] = {"", "Mean", "Euler", "Tweedie"};
  const bool last = s.sde.last_step != SdeLastStep::none;
  const std::string_view form = name_of(s.sde.form);
  return ConfigNode::map(
      {{"mode", "SDE"},
       {"params",
        ConfigNode::map(
            {{"sampling_method", name_of(s.sde.solver)},
             {"diffusion_form", form == "increasing-decreasing" ? "inccreasing-decreasing" : form},
             {"diffusion_norm", s.sde.norm},
             {"last_step", last ? ConfigNode(kLastSteps[static_cast<std::size_t>(s.sde.last_step)])
                                : ConfigNode()},
             {"last_step_size", s.sde.last_step_size},
             {"num_steps", s.steps + (full && !last ? 1 : 0)}})}});
}

ConfigNode guidance(const ModelFiles& files) {
  const SamplingDefaults& s = files.config.sampling;
  const bool by_guide = s.autoguidance && files.guide;
  ConfigNode out =
      ConfigNode::map({{"method", by_guide ? "autoguidance" : "cfg"},
                       {"scale", shortest(by_guide ? s.autoguidance->scale : s.guidance.scale)},
                       {"t-min", shortest(by_guide ? s.autoguidance->t_min : s.guidance.t_min)},
                       {"t-max", shortest(by_guide ? s.autoguidance->t_max : s.guidance.t_max)}});
  constexpr const char* kWeights = "guide/stage2_model.pt";
  if (files.guide) out.set("guidance_model", transformer_section(*files.config.guide, kWeights));
  return out;
}

ConfigNode misc(const ModelConfig& c) {
  const Shape latent = c.latent_shape();
  // shift = sqrt(dim / base), where dim is the size of a latent and base is usually an integer that
  // was changed by rounding.
  const auto dim = static_cast<double>(latent.numel()), base = dim / (c.time_shift * c.time_shift),
             whole = std::round(base);
  return ConfigNode::map(
      {{"latent_size", ConfigNode::list({latent[0], latent[1], latent[2]})},
       {"num_classes", c.num_classes()},
       {"time_dist_shift_dim", latent.numel()},
       {"time_dist_shift_base",
        std::sqrt(dim / whole) == c.time_shift ? ConfigNode(static_cast<index_t>(whole)) : base}});
}

}  // namespace

std::string why_no_encoder(const ModelConfig& c) {
  const auto* vit = c.encoder.get_if<EncoderConfig>();
  if (vit == nullptr) return concat("the family ", c.encoder.family(), " is not an official one");
  return vit->table_h != vit->table_w ? "its table of position embeddings is not square" : "";
}

bool is_version_2_model(const ModelFiles& files) {
  const ModelConfig& c = files.config;
  return c.decoder_output == PixelRange::unit || (c.dit && is_of_version_2(*c.dit));
}

std::string why_no_config(const ModelFiles& files) {
  if (is_version_2_model(files)) return why_no_version_2(files);
  const ModelConfig& c = files.config;
  if (const std::string reason = why_no_encoder(c); !reason.empty())
    return "the encoder: " + reason;
  if (const auto& vit = c.encoder.get<EncoderConfig>();
      vit.has_rope() || !vit.latent_layers.empty() || vit.final_affine || vit.final_eps > 0)
    return "the encoder: only configurations of RAEv2, with a decoder of pixels in [0, 1], have "
           "DINOv3 and latents of several layers";
  if (!files.decoder || !c.decoder) return "there is no decoder";
  if (c.encoder.channels() != 3 || c.decoder->channels != 3) return "pictures are gray";
  if (!is_square(c.image_shape()) || !is_square(c.encoder_input_shape()) ||
      !is_square(c.latent_shape()))
    return "pictures are not square";
  if (c.decoder->grid_h != c.latent_shape()[1] || c.decoder->grid_w != c.latent_shape()[2])
    return "the decoder's grid differs from that of the latents";
  for (const auto& [group, network] : {std::pair(&files.dit, &c.dit), {&files.guide, &c.guide}})
    if (*group && *network && !has_class(**network))
      return concat("the official code has no class for a ", (*network)->title());
  if (!files.dit) return {};
  if (c.prediction == Prediction::data) return "the network predicts the data";
  const bool sbdm =
      c.sampling.kind == SamplerKind::sde && c.sampling.sde.form == DiffusionForm::sbdm;
  if (sbdm && c.path != PathKind::vp) return "the official code cannot sample with the form sbdm";
  if (c.path == PathKind::vp && c.path_formulas == PathFormulas::exact &&
      (sbdm || c.prediction != Prediction::velocity))
    return "the official formulas of the VP path differ from the model's";
  return {};
}

ConfigNode encoder_json(const EncoderConfig& c, bool key_bias) {
  if (c.has_rope()) return dinov3_json(c, key_bias);
  ConfigNode out = ConfigNode::map(
      {{"hidden_size", c.hidden_size},
       {"num_hidden_layers", c.num_layers},
       {"num_attention_heads", c.num_heads},
       {"num_channels", c.channels},
       {"image_size", c.table_h * c.patch_size},
       {"patch_size", c.patch_size},
       {"layer_norm_eps", c.layer_norm_eps},
       {"hidden_act", c.family == EncoderFamily::siglip2 ? "gelu_pytorch_tanh" : "gelu"}});
  const auto named = [](ConfigNode node, const char* type, const char* architecture) {
    node.set("model_type", type);
    node.set("architectures", ConfigNode::list({architecture}));
    return node;
  };
  if (c.family == EncoderFamily::siglip2) {
    out.set("intermediate_size", c.intermediate_size);
    out.set("model_type", "siglip_vision_model");
    out.set("vision_use_head", false);
    return named(ConfigNode::map({{"vision_config", out}}), "siglip", "SiglipModel");
  }
  out.set("qkv_bias", true);
  if (c.family == EncoderFamily::mae) {
    out.set("intermediate_size", c.intermediate_size);
    return named(out, "vit_mae", "ViTMAEForPreTraining");
  }
  out.set("mlp_ratio", mlp_ratio(c.hidden_size, c.intermediate_size));
  out.set("use_swiglu_ffn", false);
  if (c.registers == 0) return named(out, "dinov2", "Dinov2Model");
  out.set("num_register_tokens", c.registers);
  return named(out, "dinov2_with_registers", "Dinov2WithRegistersModel");
}

ConfigNode preprocessor_json(const ModelConfig& c) {
  constexpr const char* kProcessors[] = {"BitImageProcessor", "SiglipImageProcessor",
                                         "ViTImageProcessor", "DINOv3ViTImageProcessorFast"};
  const index_t side = c.encoder_input_shape()[1];
  return ConfigNode::map(
      {{"image_processor_type",
        kProcessors[static_cast<std::size_t>(c.encoder.get<EncoderConfig>().family)]},
       {"do_resize", true},
       {"size", ConfigNode::map({{"height", side}, {"width", side}})},
       {"do_rescale", true},
       {"rescale_factor", 1 / 255.0},
       {"do_normalize", true},
       {"image_mean", channels_of(c.pixels.mean, 3)},
       {"image_std", channels_of(c.pixels.std, 3)}});
}

ConfigNode decoder_json(const DecoderConfig& c) {
  return ConfigNode::map({{"model_type", "vit_mae"},
                          {"architectures", ConfigNode::list({"ViTMAEForPreTraining"})},
                          {"decoder_hidden_size", c.hidden_size},
                          {"decoder_intermediate_size", c.intermediate_size},
                          {"decoder_num_attention_heads", c.num_heads},
                          {"decoder_num_hidden_layers", c.num_layers},
                          {"layer_norm_eps", c.layer_norm_eps},
                          {"num_channels", c.channels},
                          {"hidden_act", "gelu"},
                          {"qkv_bias", true}});
}

ConfigNode config_of(const ModelFiles& files) {
  if (is_version_2_model(files)) return version_2_config(files);
  const ModelConfig& c = files.config;
  ConfigNode out = ConfigNode::map({{"stage_1", stage_1(files)}});
  if (!files.dit) return out;
  out.set("stage_2", transformer_section(*c.dit, "dit/stage2_model.pt"));
  out.set("transport", transport(c));
  out.set("sampler", sampler(c.sampling));
  out.set("guidance", guidance(files));
  out.set("misc", misc(c));
  return out;
}

std::string yaml_text(const ConfigNode& node, int indent) {
  const auto scalar = [](const ConfigNode& value) {
    if (!value.is_string()) return value.to_json();
    std::string out = "'";
    for (const char c : value.as_string()) out += c == '\'' ? std::string("''") : std::string(1, c);
    return out + "'";
  };
  std::string out;
  for (const auto& [key, value] : node.members()) {
    out += std::string(static_cast<std::size_t>(indent), ' ') + key + ":";
    if (value.is_map())
      out += "\n" + yaml_text(value, indent + 2);
    else
      out += " " + scalar(value) + "\n";
  }
  return out;
}

}  // namespace rae::official
