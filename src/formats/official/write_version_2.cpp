#include "formats/official/write_version_2.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "formats/official/transformer.hpp"
#include "formats/official/values.hpp"
#include "rae/models/token_dit.hpp"
#include "rae/models/token_dit_dh.hpp"

namespace rae::official {
namespace {

/// The size in the name of an encoder. Sizes that no encoder of the release has get the name of the
/// one that RAEv2 uses, since readers take the sizes from the encoder's own files.
std::string size_of_name(const EncoderConfig& c) {
  if (c.family == EncoderFamily::dinov3) {
    if (c.gated_mlp) return c.hidden_size == 1280 ? "h16plus" : "s16plus";
    return c.hidden_size == 384 ? "s16" : c.hidden_size == 768 ? "b16" : "l16";
  }
  if (c.family == EncoderFamily::mae)
    return c.hidden_size == 1280 ? "h" : c.hidden_size == 1024 ? "l" : "b";
  if (c.hidden_size == 1024) return "l";
  if (c.hidden_size == 1536) return "g";
  if (c.hidden_size == 1152) return "so400m";
  return c.hidden_size == 384 ? "s" : "b";
}

/// "dinov3mls-vit-l16[layers=1.2.3]"
std::string name_of_encoder(const EncoderConfig& c) {
  std::string type = c.family == EncoderFamily::dinov3    ? "dinov3"
                     : c.family == EncoderFamily::dinov2  ? "dinov2"
                     : c.family == EncoderFamily::siglip2 ? "siglip2"
                                                          : "mae";
  std::string flags;
  for (const index_t layer : c.latent_layers)
    flags += concat(flags.empty() ? "layers=" : ".", layer);
  if (!flags.empty()) type += "mls";
  if (c.final_affine && c.family != EncoderFamily::siglip2)
    flags += flags.empty() ? "norm" : ",norm";
  return concat(type, "-vit-", size_of_name(c), flags.empty() ? "" : concat("[", flags, "]"));
}

std::string why_no_name(const EncoderConfig& c) {
  const bool several = !c.latent_layers.empty(), siglip = c.family == EncoderFamily::siglip2;
  if (c.family == EncoderFamily::mae && (several || c.final_affine))
    return "the official code has no MAE of several layers or with the last norm's weights";
  if (siglip && !c.final_affine) return "SigLIP 2 of RAEv2 keeps the weights of its last norm";
  if (several && c.add_last_mean != (c.family != EncoderFamily::dinov2))
    return "the official code adds the last layer's mean for DINOv3 and SigLIP 2 only";
  if (!siglip && !std::is_sorted(c.latent_layers.begin(), c.latent_layers.end()))
    return "the official code visits layers in their order";
  if (c.family == EncoderFamily::dinov2 && c.registers == 0) return "DINOv2 without registers";
  if (c.is_dino() && !c.final_affine && c.final_norm_eps() != 1e-5)
    return "the official code's last norm has an epsilon of 1e-5";
  if (!(c.is_dino() && !c.final_affine) && c.final_eps > 0)
    return "the last norm has an epsilon of its own";
  return {};
}

const TokenBackboneConfig& tokens_of(const Backbone& dit) {
  if (const auto* with_head = dit.get_if<TokenDitDhConfig>()) return *with_head;
  return dit.get<TokenDitConfig>();
}

index_t resolution_of(const ModelConfig& c) { return 16 * c.latent_shape()[1]; }

ConfigNode autoencoder_section(const ModelFiles& files) {
  const ModelConfig& c = files.config;
  ConfigNode params =
      ConfigNode::map({{"encoder_name", name_of_encoder(c.encoder.get<EncoderConfig>())},
                       {"resolution", resolution_of(c)},
                       {"decoder_config_path", "decoder"},
                       {"decoder_patch_size", c.decoder->patch_size},
                       {"pretrained_decoder_path", "decoder/model.pt"},
                       {"noise_tau", 0.0}});
  if (!files.latent_norm.mean.empty() || !files.latent_norm.var.empty())
    params.set("normalization_stat_path", "stats/stat.pt");
  return ConfigNode::map({{"target", "stage1.RAE"}, {"params", params}});
}

template <class G>
ConfigNode interval(const G& guidance) {
  return ConfigNode::map({{"scale", shortest(guidance.scale)},
                          {"t_min", shortest(guidance.t_min)},
                          {"t_max", shortest(guidance.t_max)}});
}

ConfigNode guidance_section(const SamplingDefaults& s) {
  ConfigNode ig = interval(s.internal_guidance.value_or(InternalGuidance{}));
  if (s.internal_guidance && s.internal_guidance->unconditional_scale)
    ig.set("unconditional_scale", shortest(*s.internal_guidance->unconditional_scale));
  return ConfigNode::map({{"cfg", interval(s.guidance)}, {"ig", ig}});
}

ConfigNode misc_section(const ModelConfig& c) {
  const Shape latent = c.latent_shape();
  // shift = sqrt(dim / base), of which both are integers in the official schema.
  index_t dim = latent.numel();
  const double base = static_cast<double>(dim) / (c.time_shift * c.time_shift);
  index_t whole = std::max<index_t>(1, std::llround(base));
  if (std::sqrt(static_cast<double>(dim) / static_cast<double>(whole)) != c.time_shift) {
    whole = 4096;
    dim = std::llround(c.time_shift * c.time_shift * static_cast<double>(whole));
  }
  return ConfigNode::map({{"latent_size", ConfigNode::list({latent[0], latent[1], latent[2]})},
                          {"num_classes", c.num_classes()},
                          {"time_dist_shift_dim", dim},
                          {"time_dist_shift_base", whole}});
}

}  // namespace

std::string why_no_version_2(const ModelFiles& files) {
  const ModelConfig& c = files.config;
  const auto* vit = c.encoder.get_if<EncoderConfig>();
  if (vit == nullptr)
    return concat("the encoder: the family ", c.encoder.family(), " is not an official one");
  if (const std::string reason = why_no_name(*vit); !reason.empty())
    return "the encoder: " + reason;
  if (!files.decoder || !c.decoder) return "there is no decoder";
  if (c.decoder_output != PixelRange::unit)
    return "the decoders of RAEv2 make pixels in [0, 1], this one normalised pixels";
  if (c.encoder.channels() != 3 || c.decoder->channels != 3) return "pictures are gray";
  const Shape latent = c.latent_shape(), input = c.encoder_input_shape();
  if (latent[1] != latent[2] || input[1] != input[2]) return "pictures are not square";
  const PixelNorm imagenet;
  if (c.pixels.mean != imagenet.mean || c.pixels.std != imagenet.std)
    return "the encoder's pixels are not normalised with the values of ImageNet";
  const index_t resolution = resolution_of(c);
  if (input[1] != (vit->family == EncoderFamily::dinov2 ? 224 * (resolution / 256) : resolution))
    return concat("the official code resizes pictures to ", resolution, " for a grid of ",
                  latent[1]);
  if (!files.dit || !c.dit) return {};
  if (!is_of_version_2(*c.dit))
    return concat("the official code of RAEv2 has no class for a ", c.dit->title());
  if (files.guide) return "RAEv2 has no guide";
  if (c.path != PathKind::linear ||
      (c.prediction != Prediction::data && c.prediction != Prediction::velocity))
    return "RAEv2 has only the linear path, and predicts the data or the velocity";
  const SamplingDefaults& s = c.sampling;
  if (s.kind != SamplerKind::ode || s.solver != OdeSolver(Solver::euler) ||
      s.grid != TimeGridKind::full)
    return "RAEv2 samples only by Euler steps that end at t = 0";
  return {};
}

ConfigNode version_2_config(const ModelFiles& files) {
  const ModelConfig& c = files.config;
  ConfigNode out = ConfigNode::map({{"stage_1", autoencoder_section(files)}});
  if (!files.dit) return out;
  const TokenBackboneConfig& tokens = tokens_of(*c.dit);
  out.set("stage_2", transformer_section(*c.dit, "dit/stage2_model.pt"));
  out.set("conditioning",
          ConfigNode::map({{"type", "label"},
                           {"cfg_dropout_prob", tokens.class_dropout_prob},
                           {"arch", ConfigNode::map({{"num_t_tokens", tokens.time_tokens},
                                                     {"num_c_tokens", tokens.class_tokens}})}}));
  out.set("transport",
          ConfigNode::map({{"prediction", c.prediction == Prediction::data ? "x" : "velocity"},
                           {"t_eps", c.prediction_floor}}));
  out.set("sampler", ConfigNode::map({{"num_steps", c.sampling.steps}}));
  out.set("guidance", guidance_section(c.sampling));
  out.set("misc", misc_section(c));
  return out;
}

}  // namespace rae::official
