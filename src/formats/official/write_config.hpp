// The configurations of official files for a model: config.yaml, and the config.json of encoder and
// decoder. Source: configs/ of the official repository (bytetriper/RAE); Dinov2WithRegistersConfig,
// SiglipConfig and ViTMAEConfig of huggingface/transformers.
#pragma once

#include <string>

#include "rae/formats/model_files.hpp"

namespace rae::official {

/// The reason why the encoder cannot be written as a folder of Hugging Face; empty when it can.
[[nodiscard]] std::string why_no_encoder(const ModelConfig& config);
/// The reason why no official configuration can describe this model; empty when one can.
[[nodiscard]] std::string why_no_config(const ModelFiles& files);

/// True for a model of RAEv2, by its decoder or its diffusion network.
[[nodiscard]] bool is_version_2_model(const ModelFiles& files);

/// config.json of the encoder. `key_bias`: whether the keys of a DINOv3 encoder have a bias.
[[nodiscard]] ConfigNode encoder_json(const EncoderConfig& config, bool key_bias = false);
/// preprocessor_config.json of the encoder.
[[nodiscard]] ConfigNode preprocessor_json(const ModelConfig& config);
/// config.json of the decoder.
[[nodiscard]] ConfigNode decoder_json(const DecoderConfig& config);

/// The official configuration, with the paths of the files that `save_official` writes.
[[nodiscard]] ConfigNode config_of(const ModelFiles& files);

/// A map as YAML with one line for each member; lists are on one line.
[[nodiscard]] std::string yaml_text(const ConfigNode& node, int indent = 0);

}  // namespace rae::official
