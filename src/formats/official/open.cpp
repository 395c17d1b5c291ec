#include "rae/formats/official/open.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include "formats/check_tensors.hpp"
#include "formats/official/check_weights.hpp"
#include "formats/official/paths.hpp"
#include "formats/statistics_file.hpp"
#include "rae/formats/huggingface_encoder.hpp"

namespace rae {
namespace {

using official::Paths;

/// Paths of all files; empty for those that are not needed.
struct Found {
  std::string preprocessor, encoder, decoder_config, decoder, statistics, dit, guide;
};

constexpr const char* kDiscriminator = "gan.disc.arch.dino_ckpt_path";

bool wants_guide(const OfficialConfig& c, const OfficialOptions& options) {
  return c.guide &&
         options.guide.value_or(c.sampling.autoguidance && c.sampling.autoguidance->scale > 1);
}

Found find_all(const OfficialConfig& c, const OfficialOptions& options) {
  Paths paths(c.origin, options.models_dir);
  const OfficialStage1& rae = *c.stage_1;
  const std::string params = "stage_1.params.";
  Found out;
  std::vector<std::vector<std::string>> encoder{{"config.json"}};
  if (options.encoder)
    encoder.push_back({"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                       "pytorch_model.bin.index.json", "model.pt"});
  out.encoder = paths.folder(params + "encoder_params", rae.encoder_path, encoder);
  out.preprocessor = paths.folder(params + "encoder_config_path", rae.encoder_config_path,
                                  {{"preprocessor_config.json"}});
  out.decoder_config = paths.config(params + "decoder_config_path", rae.decoder_config_path);
  if (options.decoder && !rae.ckpt.empty())
    out.decoder = paths.file("stage_1.ckpt", rae.ckpt);
  else if (options.decoder && !rae.pretrained_decoder_path.empty())
    out.decoder = paths.file(params + "pretrained_decoder_path", rae.pretrained_decoder_path);
  if (!rae.normalization_stat_path.empty())
    out.statistics = paths.file(params + "normalization_stat_path", rae.normalization_stat_path);
  if (options.dit && c.stage_2 && !c.stage_2->ckpt.empty())
    out.dit = paths.file("stage_2.ckpt", c.stage_2->ckpt);
  if (options.dit && wants_guide(c, options)) {
    if (c.guide->ckpt.empty())
      raise<ConfigError>(c.origin,
                         ": guidance.guidance_model: the key 'ckpt' is missing, without which the "
                         "guide has no weights");
    out.guide = paths.file("guidance.guidance_model.ckpt", c.guide->ckpt);
  }
  if (options.discriminator && c.gan) (void)paths.file(kDiscriminator, c.gan->dino_ckpt_path);
  paths.require_all();
  return out;
}

/// The settings of the official GeneralDecoder in its config.json; the others are set by the class
/// RAE.
DecoderConfig decoder_config(const std::string& path, const OfficialStage1& rae,
                             const Shape& latent) {
  const ConfigNode node = ConfigNode::load(path);
  const auto require = [&](std::string_view key, std::string_view value) {
    if (const ConfigNode* found = node.find(key);
        found != nullptr && !found->is_null() && found->as_string() != value)
      found->fail_expected(concat(value, "; others are not supported"));
  };
  require("model_type", "vit_mae");
  require("hidden_act", "gelu");
  if (!node.get_or("qkv_bias", true))
    node.at("qkv_bias").fail_expected("true; a decoder without biases is not supported");
  DecoderConfig out;
  out.grid_h = latent[1];
  out.grid_w = latent[2];
  out.in_dim = latent[0];
  out.patch_size = rae.decoder_patch_size;
  out.hidden_size = node.at("decoder_hidden_size").as_integer(1, kMaxWidth);
  out.num_layers = node.at("decoder_num_hidden_layers").as_integer(1, kMaxLayers);
  out.num_heads = node.at("decoder_num_attention_heads").as_integer(1, kMaxWidth);
  out.intermediate_size = node.at("decoder_intermediate_size").as_integer(1, 16 * kMaxWidth);
  out.layer_norm_eps = node.get_or("layer_norm_eps", out.layer_norm_eps);
  out.channels = node.get_or("num_channels", out.channels);
  if (out.channels != 3) node.at("num_channels").fail_expected("3");
  if (!(out.layer_norm_eps >= 0 && out.layer_norm_eps < 1))
    node.at("layer_norm_eps").fail_expected("a number in [0, 1)");
  if (out.hidden_size % out.num_heads != 0)
    raise<ConfigError>(path, ": decoder_hidden_size ", out.hidden_size, " does not divide into ",
                       out.num_heads, " heads (decoder_num_attention_heads)");
  return out;
}

LatentNorm<float> latent_norm(const std::string& path, const OfficialStage1& rae,
                              const Shape& latent, const std::string& where) {
  LatentNorm<float> out;
  if (!path.empty()) out = detail::read_statistics(path, latent, where);
  out.eps = rae.eps;
  return out;
}

/// The weights of a diffusion network, checked against the configuration.
TensorGroup transformer(const std::string& path, const std::string& where,
                        const ModelConfig& config, NetworkRole role) {
  TensorGroup out{TensorSource::open(path).weights(), {}};
  official::require_weights(out, where, config, role);
  return out;
}

}  // namespace

ModelFiles open_official(const OfficialConfig& c, const OfficialOptions& options) {
  if (!c.stage_1)
    raise<ConfigError>(c.origin,
                       ": the section stage_1 is missing, which describes encoder and decoder");
  const OfficialStage1& rae = *c.stage_1;
  const Found found = find_all(c, options);
  namespace fs = std::filesystem;
  ModelFiles out;
  out.origin = c.origin;
  ModelConfig& config = out.config;
  config.name = fs::path(c.origin).stem().string();
  EncoderConfig encoder;
  if (options.encoder) {
    PretrainedEncoder pretrained = open_encoder_folder(found.encoder);
    encoder = pretrained.config;
    out.encoder = std::move(pretrained.file);
  } else {
    encoder = parse_pretrained_config(
        ConfigNode::load((fs::path(found.encoder) / "config.json").string()));
  }
  config.encoder = encoder;
  if (encoder.family != rae.family)
    raise<ConfigError>(found.encoder, ": is a ", name_of(encoder.family),
                       " encoder, but encoder_cls of ", c.origin, " is for ", name_of(rae.family));
  config.pixels = parse_preprocessor_config(
      ConfigNode::load((fs::path(found.preprocessor) / "preprocessor_config.json").string()));
  if (rae.encoder_input_size % encoder.patch_size != 0)
    raise<ConfigError>(c.origin, ": stage_1.params.encoder_input_size ", rae.encoder_input_size,
                       " does not divide into the encoder's patches of ", encoder.patch_size);
  config.encoder_size = rae.encoder_input_size;
  const index_t grid = rae.encoder_input_size / encoder.patch_size;
  const Shape latent{encoder.hidden_size, grid, grid};
  config.image_size = grid * rae.decoder_patch_size;
  config.decoder = decoder_config(found.decoder_config, rae, latent);
  const std::string makes =
      concat("stage_1 of ", c.origin, " (encoder_input_size ", rae.encoder_input_size, ")");
  if (c.stage_2 && options.dit && c.stage_2->backbone.latent_shape() != latent)
    raise<ConfigError>(c.origin, ": stage_2 takes latents ", c.stage_2->backbone.latent_shape(),
                       " (in_channels, input_size), but stage_1 makes ", latent,
                       " (encoder_input_size ", rae.encoder_input_size, ", patches of ",
                       encoder.patch_size, ")");
  out.latent_norm = latent_norm(found.statistics, rae, latent, makes);
  if (!found.decoder.empty()) {
    const TensorSource file = TensorSource::open(found.decoder);
    const TensorSource weights = file.weights(), inner = weights.under("decoder.");
    const bool whole = detail::has_tensor(
        inner,
        "decoder_pred.weight");  // a checkpoint of the autoencoder, written by train_stage1.py
    out.decoder = TensorGroup{whole ? inner : weights, decoder_names()};
    official::require_weights(*out.decoder, makes, config, NetworkRole::decoder);
  }
  config.time_shift = c.time_shift();
  config.path = c.transport.path;
  config.path_formulas = PathFormulas::official;
  config.prediction = c.transport.prediction;
  config.sampling = c.sampling;
  if (!c.stage_2 || !options.dit) return out;
  config.dit = c.stage_2->backbone;
  if (!found.dit.empty())
    out.dit = transformer(found.dit, c.stage_2->where, config, NetworkRole::dit);
  if (!wants_guide(c, options)) {
    if (config.sampling.autoguidance) config.sampling.autoguidance->scale = 1.0f;
    return out;
  }
  config.guide = c.guide->backbone;
  out.guide = transformer(found.guide, c.guide->where, config, NetworkRole::guide);
  return out;
}

ModelFiles open_official(const std::string& path, const OfficialOptions& options) {
  return open_official(load_official_config(path), options);
}

std::string find_official_discriminator(const OfficialConfig& c, const std::string& models_dir) {
  if (!c.gan)
    raise<ConfigError>(c.origin, ": the section gan is missing, which describes the discriminator");
  Paths paths(c.origin, models_dir);
  std::string out = paths.file(kDiscriminator, c.gan->dino_ckpt_path);
  paths.require_all();
  return out;
}

}  // namespace rae
