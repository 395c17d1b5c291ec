// Autoencoders in folders of diffusers (nyu-visionx/RAE-*): encoder, decoder and statistics of the
// latents in one file of weights.
//
// Source: AutoencoderRAE in huggingface/diffusers.
#pragma once

#include <string>

#include "rae/formats/model_files.hpp"

namespace rae {

/// Opens a folder with the config.json of an `AutoencoderRAE` and its diffusion_pytorch_model. Both
/// namings of the decoder's attention are known, that of diffusers (`to_q`) and that of the
/// official code. Every tensor that the networks need is looked up; only the statistics are read,
/// broadcast to (C, h, w), and joined with `scaling_factor`: the latents are exactly those of
/// diffusers, which divides by std + 1e-5. Throws FileError, ConfigError, FormatError, ShapeError.
[[nodiscard]] ModelFiles open_diffusers_autoencoder(const std::string& folder);

/// True when the folder's config.json names the class AutoencoderRAE; false also when there is no
/// such file or it cannot be read.
[[nodiscard]] bool is_diffusers_autoencoder(const std::string& folder) noexcept;

}  // namespace rae
