// A folder of diffusers, written from random models under the names of AutoencoderRAE, without the
// buffers that save_pretrained does not store.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "rae/formats/diffusers_autoencoder.hpp"
#include "rae/io/safetensors.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae::test {

/// A configuration of a small autoencoder: pictures of 8 x 8 pixels, 2 x 2 tokens.
inline constexpr const char* kDiffusersConfig =
    R"({"_class_name": "AutoencoderRAE", "_diffusers_version": "0.37.0", "encoder_type": "dinov2",
  "encoder_hidden_size": 64, "encoder_patch_size": 14, "encoder_num_hidden_layers": 1,
  "decoder_hidden_size": 32,
  "decoder_num_hidden_layers": 2, "decoder_num_attention_heads": 4,
  "decoder_intermediate_size": 48, "patch_size": 4,
  "encoder_input_size": 28, "image_size": null, "num_channels": 3, "noise_tau": 0.0,
  "reshape_to_2d": true, "scaling_factor": 1.0})";

/// One element of the position table of diffusers: the coordinates of a grid of any size extend to
/// 16, and the first half of the channels encodes the column.
inline double diffusers_table_element(index_t grid, index_t dim, index_t token, index_t channel) {
  if (token == 0) return 0;
  const index_t quarter = dim / 4, part = channel / quarter;
  const index_t place = part < 2 ? (token - 1) % grid : (token - 1) / grid;
  const double at = 16.0 * static_cast<double>(place) / static_cast<double>(grid);
  const double angle = at * std::pow(10000.0, -static_cast<double>(channel % quarter) /
                                                  static_cast<double>(quarter));
  return part % 2 == 0 ? std::sin(angle) : std::cos(angle);
}

/// The networks of that configuration: one layer of DINOv2 of width 64 with a position table of 3 x
/// 3, and a decoder of 2 x 2 tokens.
struct DiffusersParts {
  Encoder<Tensor<float>> encoder{EncoderConfig{.hidden_size = 64,
                                               .num_layers = 1,
                                               .num_heads = 1,
                                               .intermediate_size = 256,
                                               .table_h = 3,
                                               .table_w = 3}};
  Decoder<Tensor<float>> decoder{DecoderConfig{.grid_h = 2,
                                               .grid_w = 2,
                                               .in_dim = 64,
                                               .hidden_size = 32,
                                               .num_layers = 2,
                                               .num_heads = 4,
                                               .intermediate_size = 48,
                                               .patch_size = 4}};
  Tensor<float> mean{Shape{64, 2, 2}}, deviation{Shape{64, 2, 2}};  // (64, 2, 2) each

  DiffusersParts() {
    fill_random(encoder, 1);
    fill_random(decoder, 2);
    decoder.parameters([](const std::string& name, auto& parameter) {
      if (name != "decoder_pos_embed") return;
      Tensor<float> table(parameter.shape());  // (1, 5, 32)
      for (index_t i = 0; i < table.numel(); ++i)
        table[i] = static_cast<float>(diffusers_table_element(2, 32, i / 32, i % 32));
      parameter.set(table);
    });
    for (index_t i = 0; i < mean.numel(); ++i) {
      mean[i] = 0.01f * static_cast<float>(i % 7);
      deviation[i] = 0.5f + 0.1f * static_cast<float>(i % 5);
    }
  }
};

/// Adds the tensors of a model under other names; matrices that the file stores separately are
/// split.
template <class Model>
void add_tensors(std::vector<SafetensorsEntry>& out, Model& model, const NameMap& names) {
  model.parameters([&](const std::string& name, auto& parameter) {
    const auto files = names(name);
    const Shape shape = parameter.shape();
    if (files.size() == 1) return out.push_back({files.front(), parameter.tensor()});
    const Shape piece = shape.with(0, shape[0] / static_cast<index_t>(files.size()));
    const auto n = static_cast<std::size_t>(piece.numel());
    for (std::size_t i = 0; i < files.size(); ++i)
      out.push_back({files[i], Tensor<float>(piece, parameter.tensor().span().subspan(i * n, n))});
  });
}

inline NameMap diffusers_decoder_names(bool official) {
  VitLayerNames layer = mae_layer_names();
  if (!official) {
    layer.query = "attention.to_q";
    layer.key = "attention.to_k";
    layer.value = "attention.to_v";
    layer.proj = "attention.to_out.0";
  }
  return [layer](const std::string& name) {
    auto out = map_layers(name, "decoder_layers.", "decoder.decoder_layers.", layer);
    return out.empty() ? std::vector<std::string>{"decoder." + name} : out;
  };
}

/// The tensors of a folder. Older versions of diffusers store the encoder as "encoder.model" and
/// the position table of the decoder.
inline std::vector<SafetensorsEntry> diffusers_entries(DiffusersParts& parts, bool official = false,
                                                       bool older = false) {
  std::vector<SafetensorsEntry> out;
  const std::string encoder = older ? "encoder.model." : "encoder.";
  add_tensors(out, parts.encoder, encoder_names(EncoderFamily::dinov2, encoder));
  add_tensors(out, parts.decoder, diffusers_decoder_names(official));
  if (!older)
    std::erase_if(out, [](const auto& each) { return each.name == "decoder.decoder_pos_embed"; });
  out.push_back({encoder + "embeddings.mask_token", Tensor<float>(Shape{1, 64}, 0.f)});
  out.push_back({"encoder_mean", Tensor<float>(Shape{1, 3, 1, 1}, {0.4f, 0.5f, 0.6f})});
  out.push_back({"encoder_std", Tensor<float>(Shape{1, 3, 1, 1}, {0.25f, 0.5f, 0.75f})});
  out.push_back({"_latents_mean", parts.mean});
  out.push_back({"_latents_std", parts.deviation});
  return out;
}

inline void write_diffusers_folder(const TempFolder& folder, const std::string& config,
                                   const std::vector<SafetensorsEntry>& entries) {
  folder.write("config.json", config);
  write_safetensors(folder / "diffusion_pytorch_model.safetensors", entries);
}

}  // namespace rae::test
