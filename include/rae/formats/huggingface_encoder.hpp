// Frozen encoders in folders as Hugging Face saves them: config.json, preprocessor_config.json and
// the weights.
//
// Source: Dinov2Config, Dinov2WithRegistersConfig, SiglipConfig, ViTMAEConfig and their models in
// huggingface/transformers.
#pragma once

#include <string>

#include "rae/formats/model_files.hpp"
#include "rae/io/config.hpp"
#include "rae/models/encoder.hpp"
#include "rae/models/pixel_norm.hpp"

namespace rae {

/// An encoder that somebody else trained, not read yet.
struct PretrainedEncoder {
  EncoderConfig config;  ///< from config.json
  PixelNorm pixels;      ///< from preprocessor_config.json
  TensorGroup file;      ///< its weights
};

/// Opens a folder with the config.json of
/// - DINOv2 with registers (`dinov2_with_registers`) or without (`dinov2`),
/// - SigLIP 2 with a fixed resolution (`siglip`, whose text tower is ignored, or
/// `siglip_vision_model`),
/// - MAE (`vit_mae`, whose decoder is ignored),
///
/// and weights that `TensorSource::open` finds in it. Every tensor that the encoder needs is looked
/// up, none is read. Without a preprocessor_config.json the pixels are normalised as the family was
/// trained. Throws FileError when a file is missing, ConfigError for a configuration of another
/// model or with an option that this library does not have, FormatError when the weights are not
/// those of the configuration.
[[nodiscard]] PretrainedEncoder open_encoder_folder(const std::string& folder);

/// The encoder of a config.json; absent keys have the defaults of its class. Options that change
/// the result and are not supported (activation, SwiGLU, attention without bias) are refused; those
/// of training, of other outputs and of ignored networks do not matter. Throws
/// ConfigError.
[[nodiscard]] EncoderConfig parse_pretrained_config(const ConfigNode& node);

/// The pixels' mean and deviation of a preprocessor_config.json. How it would resize and crop does
/// not matter, since this library prepares pictures itself; but it must bring pixels to [0, 1]
/// first. Throws ConfigError.
[[nodiscard]] PixelNorm parse_preprocessor_config(const ConfigNode& node);

}  // namespace rae
