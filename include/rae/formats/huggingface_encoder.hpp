// Frozen encoders in folders as Hugging Face saves them: config.json, preprocessor_config.json and
// the weights.
//
// Source: Dinov2Config, Dinov2WithRegistersConfig, DINOv3ViTConfig, SiglipConfig, ViTMAEConfig and
// their models in huggingface/transformers; vision_transformer.py of facebookresearch/dinov3.
#pragma once

#include <string>

#include "rae/formats/model_files.hpp"
#include "rae/io/config.hpp"
#include "rae/models/encoder.hpp"
#include "rae/models/pixel_norm.hpp"

namespace rae {

/// A pretrained encoder whose weights have not been read.
struct PretrainedEncoder {
  EncoderConfig config;  ///< from config.json
  PixelNorm pixels;      ///< from preprocessor_config.json
  TensorGroup file;      ///< its weights
};

/// Opens a folder with the config.json of
/// - the ViTs of DINOv3 (`dinov3_vit`, any size),
/// - DINOv2 with registers (`dinov2_with_registers`) or without (`dinov2`),
/// - SigLIP 2 with a fixed resolution (`siglip`, whose text encoder is ignored, or
///   `siglip_vision_model`),
/// - MAE (`vit_mae`, whose decoder is ignored),
///
/// and weights that `TensorSource::open` finds in it. Names and shapes of all needed tensors are
/// checked, but no tensor is read. Without a preprocessor_config.json the pixels are normalised as
/// in the training of the family. Throws FileError when a file is missing, ConfigError for a
/// configuration of another model or with an option that this library does not have, FormatError
/// when the weights do not fit the configuration.
[[nodiscard]] PretrainedEncoder open_encoder_folder(const std::string& folder);

/// Opens a checkpoint (.pth) of facebookresearch/dinov3. Its sizes follow from the tensors, and the
/// number of heads from the periods of the rotary positions; pixels are normalised with the values
/// of ImageNet. The biases of the keys, which the model masks, become zero. Throws FileError,
/// FormatError for a file of another model.
[[nodiscard]] PretrainedEncoder open_dinov3_checkpoint(const std::string& path);

/// The encoder of a config.json; absent keys have the defaults of its class. Options that change
/// the result and are not supported (activation, SwiGLU, attention without bias) are refused;
/// options of training, of other outputs and of ignored networks have no effect. Throws
/// ConfigError.
[[nodiscard]] EncoderConfig parse_pretrained_config(const ConfigNode& node);

/// Mean and standard deviation of the pixels from a preprocessor_config.json. Its resizing and
/// cropping have no effect, since this library prepares pictures itself, but it must scale pixels
/// to [0, 1] before normalising. Throws ConfigError.
[[nodiscard]] PixelNorm parse_preprocessor_config(const ConfigNode& node);

}  // namespace rae
