#include "rae/formats/official/open.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include "formats/check_tensors.hpp"
#include "formats/official/check_weights.hpp"
#include "formats/official/named_encoder.hpp"
#include "formats/official/paths.hpp"
#include "formats/official/transformer.hpp"
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
  if (rae.encoder_name) {
    out.encoder = official::find_named_encoder(paths, *rae.encoder_name, encoder);
  } else {
    out.encoder = paths.folder(params + "encoder_params", rae.encoder_path, encoder);
    out.preprocessor = paths.folder(params + "encoder_config_path", rae.encoder_config_path,
                                    {{"preprocessor_config.json"}});
  }
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
TensorGroup transformer(const std::string& path, const std::string& where, ModelConfig& config,
                        NetworkRole role) {
  TensorGroup out{TensorSource::open(path).weights(), {}};
  std::optional<Backbone>& network = role == NetworkRole::dit ? config.dit : config.guide;
  out.names = official::parameter_names(*network);
  official::take_alignment(out.tensors, *network);
  official::require_weights(out, where, config, role);
  return out;
}

/// The encoder, from its folder or the checkpoint of DINOv3. Its weights are only opened when they
/// are wanted.
EncoderConfig open_encoder(const std::string& path, const OfficialStage1& rae, bool weights,
                           ModelFiles& out) {
  EncoderConfig encoder;
  if (path.ends_with(".pth")) {
    PretrainedEncoder pretrained = open_dinov3_checkpoint(path);
    encoder = pretrained.config;
    if (weights) out.encoder = std::move(pretrained.file);
  } else if (weights) {
    PretrainedEncoder pretrained = open_encoder_folder(path);
    encoder = pretrained.config;
    out.encoder = std::move(pretrained.file);
  } else {
    encoder = parse_pretrained_config(
        ConfigNode::load((std::filesystem::path(path) / "config.json").string()));
  }
  if (!rae.encoder_name) return encoder;
  const OfficialEncoderName& name = *rae.encoder_name;
  encoder.latent_layers = name.layers;
  encoder.add_last_mean = name.add_last_mean;
  encoder.final_affine = name.final_affine;
  // The official code replaces the norm of DINO by one with PyTorch's default epsilon.
  constexpr double kTorchEps = 1e-5;
  if (encoder.is_dino() && !name.final_affine && encoder.layer_norm_eps != kTorchEps)
    encoder.final_eps = kTorchEps;
  for (const index_t layer : name.layers)
    if (layer >= encoder.num_layers)
      raise<ConfigError>(path, ": has ", encoder.num_layers, " blocks, but '", name.text,
                         "' names block ", layer, " (counted from 0)");
  return encoder;
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
  const EncoderConfig encoder = open_encoder(found.encoder, rae, options.encoder, out);
  config.encoder = encoder;
  if (encoder.family != rae.family)
    raise<ConfigError>(found.encoder, ": is a ", name_of(encoder.family), " encoder, but ",
                       c.version_2 ? "encoder_name" : "encoder_cls", " of ", c.origin, " is for ",
                       name_of(rae.family));
  if (!c.version_2)  // RAEv2 uses the values of ImageNet for all encoders
    config.pixels = parse_preprocessor_config(
        ConfigNode::load((fs::path(found.preprocessor) / "preprocessor_config.json").string()));
  if (rae.encoder_input_size % encoder.patch_size != 0)
    raise<ConfigError>(c.origin, ": stage_1.params.encoder_input_size ", rae.encoder_input_size,
                       " does not divide into the encoder's patches of ", encoder.patch_size);
  config.encoder_size = rae.encoder_input_size;
  const index_t grid = rae.encoder_input_size / encoder.patch_size;
  const Shape latent{encoder.hidden_size, grid, grid};
  config.image_size = grid * rae.decoder_patch_size;
  if (c.version_2) {
    if (grid != rae.resolution / 16)
      raise<ConfigError>(found.encoder, ": patches of ", encoder.patch_size, " give a grid of ",
                         grid, ", but the decoder of RAEv2 has one of ", rae.resolution / 16);
    config.decoder_output = PixelRange::unit;
  }
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
  config.path_formulas = c.version_2 ? PathFormulas::exact : PathFormulas::official;
  config.prediction = c.transport.prediction;
  config.prediction_floor = c.transport.t_eps;
  config.sampling = c.sampling;
  if (!c.stage_2 || !options.dit) return out;
  config.dit = c.stage_2->backbone;
  if (!found.dit.empty()) {
    out.dit = transformer(found.dit, c.stage_2->where, config, NetworkRole::dit);
    if (c.version_2 && out.dit->tensors.selected() == "model")
      raise<FormatError>(found.dit,
                         ": has the weights 'model', but no averaged weights 'ema', which the "
                         "official code of RAEv2 needs");
  }
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
