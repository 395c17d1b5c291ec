// Autoencoders in the format of diffusers (nyu-visionx/RAE-*): a folder with encoder, decoder and
// statistics of the latents in one file of weights.
//
// Source: AutoencoderRAE in huggingface/diffusers.
#pragma once

#include <string>

#include "rae/formats/model_files.hpp"

namespace rae {

/// Opens a folder with the config.json of an `AutoencoderRAE` and its diffusion_pytorch_model. The
/// decoder's attention may have the names of diffusers (`to_q`) or those of the official code.
/// Names and shapes of all needed tensors are checked. Only the statistics are read, broadcast to
/// (C, h, w), and combined with `scaling_factor`, so that the latents are exactly those of
/// diffusers, which divides by std + 1e-5. Throws FileError, ConfigError, FormatError, ShapeError.
[[nodiscard]] ModelFiles open_diffusers_autoencoder(const std::string& folder);

/// True when the folder's config.json names the class AutoencoderRAE; false also when there is no
/// such file or it cannot be read.
[[nodiscard]] bool is_diffusers_autoencoder(const std::string& folder) noexcept;

}  // namespace rae
