// Models in the words of the official files: config.yaml, and the config.json of encoder and
// decoder. Source: configs/ of the official repository (bytetriper/RAE); Dinov2WithRegistersConfig,
// SiglipConfig and ViTMAEConfig of huggingface/transformers.
#pragma once

#include <string>

#include "rae/formats/model_files.hpp"

namespace rae::official {

/// Why no folder of Hugging Face can hold this model's encoder; empty when one can.
[[nodiscard]] std::string encoder_lacks(const ModelConfig& config);
/// Why no official configuration describes this model; empty when one does.
[[nodiscard]] std::string config_lacks(const ModelFiles& files);

/// config.json of the encoder.
[[nodiscard]] ConfigNode encoder_json(const EncoderConfig& config);
/// preprocessor_config.json of the encoder.
[[nodiscard]] ConfigNode preprocessor_json(const ModelConfig& config);
/// config.json of the decoder.
[[nodiscard]] ConfigNode decoder_json(const DecoderConfig& config);

/// The configuration, with the files of `save_official` beside it.
[[nodiscard]] ConfigNode config_of(const ModelFiles& files);

/// YAML, a line for each member, lists in one line.
[[nodiscard]] std::string yaml_text(const ConfigNode& node, int indent = 0);

}  // namespace rae::official
