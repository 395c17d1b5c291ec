// Writes a model as files of the official release: state dicts, the encoder's folder and the
// configuration.
#include <filesystem>
#include <functional>
#include <utility>

#include "formats/official/transformer.hpp"
#include "formats/official/write_config.hpp"
#include "formats/stored_network.hpp"
#include "io/torch_writer.hpp"
#include "rae/formats/bundle_writer.hpp"
#include "rae/io/file.hpp"
#include "rae/io/safetensors_writer.hpp"
#include "rae/kernels/rope.hpp"

namespace rae {
namespace {

namespace fs = std::filesystem;

using detail::read_parameter;
using detail::StoredNetwork;

/// The shape of a parameter in an official state dict, where patch embeddings are convolutions (N,
/// C, P, P).
Shape official_shape(const std::string& name, const Shape& shape, index_t channels, index_t patch) {
  const bool convolution = name == "x_embedder.proj.weight" || name == "s_embedder.proj.weight";
  return convolution ? Shape{shape[0], channels, patch, patch} : shape;
}

/// Writes the official state dict of one network. `names` gives the names of a parameter, whose
/// rows are divided among several.
void write_state_dict(const std::string& path, const StoredNetwork& network, const NameMap& names,
                      const official::StateDictLayout& layout, DType stored_as) {
  std::vector<SafetensorsSlot> slots;
  for (const auto& [name, shape, use] : network.outline.parameters) {
    const auto official = names ? names(name) : std::vector<std::string>{name};
    Shape piece = official_shape(name, shape, layout.channels, layout.patch);
    if (official.size() > 1)
      piece = piece.with(0, piece[0] / static_cast<index_t>(official.size()));
    for (const std::string& file : official) slots.push_back({file, stored_as, piece});
  }
  for (const official::RotaryTable& rope : layout.tables)
    for (const char* half : {".freqs_cos", ".freqs_sin"})
      slots.push_back({rope.name + half,
                       DType::f32,
                       {rope.grid_h * rope.grid_w + rope.unrotated, rope.head_dim}});
  detail::TorchWriter writer(path, slots);
  std::size_t slot = 0;
  for (const ParameterShape& parameter : network.outline.parameters) {
    const Tensor<float> value = read_parameter(network, parameter, stored_as);  // parameter.shape
    const auto pieces = names ? names(parameter.name).size() : 1;
    const auto n = static_cast<std::size_t>(value.numel()) / pieces;
    for (std::size_t i = 0; i < pieces; ++i)
      writer.write(Tensor<float>(slots[slot++].shape, value.span().subspan(i * n, n)));
  }
  for (const official::RotaryTable& rope : layout.tables) {
    const RopeTable<float> table = with_unrotated_tokens(
        make_rope_table<float>(rope.grid_h, rope.grid_w, rope.head_dim), 0, rope.unrotated);
    writer.write(table.cos);
    writer.write(table.sin);
  }
  writer.commit();
}

/// Writes the weights of a folder of Hugging Face. The LayerNorm after the last layer gets weight 1
/// and bias 0, since the official code ignores its affine part.
void write_encoder(const std::string& path, const StoredNetwork& network, const EncoderConfig& c,
                   bool key_bias, DType stored_as) {
  const bool siglip = c.family == EncoderFamily::siglip2, dino = c.is_dino(), dino3 = c.has_rope();
  const std::string prefix = dino ? "" : siglip ? "vision_model." : "vit.";
  const NameMap names = encoder_names(c.family, prefix, c.gated_mlp);
  const auto left_out = [&](const std::string& name) {
    return dino3 && !key_bias && name.ends_with("k_proj.bias");
  };
  std::vector<SafetensorsSlot> slots;
  for (const auto& [name, shape, use] : network.outline.parameters) {
    const auto files = names(name);
    Shape piece = shape;
    if (name == "patch_embed.weight") piece = {shape[0], c.channels, c.patch_size, c.patch_size};
    if (name == "pos_embed" && siglip) piece = {shape[1], shape[2]};
    if (files.size() > 1) piece = piece.with(0, piece[0] / static_cast<index_t>(files.size()));
    for (const std::string& file : files)
      if (!left_out(file)) slots.push_back({file, stored_as, piece});
  }
  const std::string norm = prefix + (siglip ? "post_layernorm" : dino3 ? "norm" : "layernorm");
  if (!c.final_affine) {
    slots.push_back({norm + ".weight", DType::f32, {c.hidden_size}});
    slots.push_back({norm + ".bias", DType::f32, {c.hidden_size}});
  }
  const Shape mask = dino3 ? Shape{1, 1, c.hidden_size} : Shape{1, c.hidden_size};
  if (dino) slots.push_back({"embeddings.mask_token", DType::f32, mask});
  SafetensorsWriter writer(path, slots, {{"format", "pt"}});
  std::size_t slot = 0;
  for (const ParameterShape& parameter : network.outline.parameters) {
    const Tensor<float> value = read_parameter(network, parameter, stored_as);  // parameter.shape
    const std::vector<std::string> files = names(parameter.name);
    const std::size_t pieces = files.size(), n = static_cast<std::size_t>(value.numel()) / pieces;
    for (std::size_t i = 0; i < pieces; ++i)
      if (!left_out(files[i]))
        writer.write(Tensor<float>(slots[slot++].shape, value.span().subspan(i * n, n)));
  }
  if (!c.final_affine) {
    writer.write(Tensor<float>(Shape{c.hidden_size}, 1.0f));
    writer.write(Tensor<float>(Shape{c.hidden_size}, 0.0f));
  }
  if (dino) writer.write(Tensor<float>(mask, 0.0f));
  writer.commit();
}

/// True when the keys of a DINOv3 encoder have a bias, which those of the release do not have.
bool has_key_bias(const StoredNetwork& network, const EncoderConfig& c) {
  if (!c.has_rope()) return true;
  for (const ParameterShape& parameter : network.outline.parameters) {
    if (!parameter.name.ends_with("attn.qkv.bias")) continue;
    const Tensor<float> bias = read_parameter(network, parameter, DType::f32);  // (3D)
    const auto d = static_cast<std::size_t>(c.hidden_size);
    for (const float value : bias.span().subspan(d, d))
      if (value != 0.0f) return true;
  }
  return false;
}

}  // namespace

OfficialFiles save_official(const ModelFiles& files, const std::string& folder, DType stored_as) {
  detail::require_float(stored_as);
  const ModelConfig& c = files.config;
  OfficialFiles out;
  const auto path_of = [&](const char* sub, const char* name) {
    const fs::path path = fs::path(folder) / sub;
    std::error_code error;
    fs::create_directories(path, error);
    if (error)
      raise<FileError>("cannot create the folder '", path.string(), "': ", error.message());
    return out.written.emplace_back((path / name).string());
  };
  const std::string no_encoder = official::why_no_encoder(c),
                    no_config = official::why_no_config(files);
  // config.yaml needs a complete model; state dicts alone do not.
  if (no_config.empty()) validate(c, ConfigPlace(files.origin));
  bool key_bias = false;
  for (const StoredNetwork& network : detail::stored_networks(files)) {
    if (network.role == NetworkRole::encoder) {
      if (!no_encoder.empty()) continue;
      const EncoderConfig& encoder = c.encoder.get<EncoderConfig>();
      key_bias = has_key_bias(network, encoder);
      write_encoder(path_of("encoder", "model.safetensors"), network, encoder, key_bias, stored_as);
    } else if (network.role == NetworkRole::decoder) {
      write_state_dict(path_of("decoder", "model.pt"), network, decoder_names(), {}, stored_as);
    } else {
      const Backbone& backbone = network.role == NetworkRole::dit ? *c.dit : *c.guide;
      const char* const folder_name = network.role == NetworkRole::dit ? "dit" : "guide";
      if (official::has_class(backbone))
        write_state_dict(path_of(folder_name, "stage2_model.pt"), network,
                         official::parameter_names(backbone), official::state_dict_layout(backbone),
                         stored_as);
    }
  }
  const LatentNorm<float> norm = detail::with_official_eps(files.latent_norm, files.origin);
  std::vector<std::pair<std::string, const Tensor<float>*>> statistics;
  if (!norm.mean.empty()) statistics.emplace_back("mean", &norm.mean);
  if (!norm.var.empty()) statistics.emplace_back("var", &norm.var);
  if (!statistics.empty()) {
    std::vector<SafetensorsSlot> slots;
    for (const auto& [name, tensor] : statistics)
      slots.push_back({name, DType::f32, tensor->shape()});
    detail::TorchWriter writer(path_of("stats", "stat.pt"), slots);
    for (const auto& [name, tensor] : statistics) writer.write(*tensor);
    writer.commit();
  }
  if (out.written.empty())
    raise<ArgumentError>(files.origin, ": has no network that official files can describe");
  const auto write_text = [&](const char* sub, const char* name, const std::string& text) {
    write_file_atomically(path_of(sub, name), text.ends_with('\n') ? text : text + "\n");
  };
  if (no_encoder.empty() && (files.encoder || no_config.empty())) {
    write_text("encoder", "config.json",
               official::encoder_json(c.encoder.get<EncoderConfig>(), key_bias).to_json(2));
    write_text("encoder", "preprocessor_config.json", official::preprocessor_json(c).to_json(2));
  } else if (files.encoder) {
    out.notes.push_back("no encoder: " + no_encoder);
  }
  if (c.decoder && files.decoder)
    write_text("decoder", "config.json", official::decoder_json(*c.decoder).to_json(2));
  if (!no_config.empty()) {
    out.notes.push_back("no config.yaml: " + no_config);
    return out;
  }
  write_text("", "config.yaml", official::yaml_text(official::config_of(files)));
  if (!c.class_names.empty()) out.notes.push_back("official files cannot store names of classes");
  if (official::is_version_2_model(files)) {
    if (files.encoder && c.encoder.get<EncoderConfig>().has_rope())
      out.notes.push_back(
          "the encoder is a folder of Hugging Face; the official code of RAEv2 reads its encoder "
          "from a checkpoint of facebookresearch/dinov3 (DINOV3_CKPT_DIR)");
    return out;
  }
  if (files.dit && c.sampling.grid == TimeGridKind::full)
    out.notes.push_back(
        "the official sampler ends a little before t = 0, this model's last step at t = 0");
  return out;
}

}  // namespace rae
