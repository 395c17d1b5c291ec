// The decoder of a variational autoencoder in the format of diffusers, such as that of Stable
// Diffusion, with which the paper compares its own.
//
// Source: AutoencoderKL in huggingface/diffusers.
#pragma once

#include <string>

#include "rae/models/conv_decoder.hpp"

namespace rae {

/// The decoder of a folder of diffusers, and the scale of its latents.
struct DiffusersVaeDecoder {
  ConvDecoder<Tensor<float>> network;  ///< from unscaled latents to pictures in [-1, 1]
  double scaling_factor = 0.18215;     ///< diffusion networks see (latent - shift) * scaling_factor
  double shift_factor = 0;             ///< see above

  /// Pictures (B, channels, scale*h, scale*w) of latents (B, C, h, w) as diffusion networks see
  /// them. They are in [0, 1] but for overshoots. Throws ShapeError.
  [[nodiscard]] Tensor<float> decode(const Tensor<float>& latents) const;
};

/// Reads the decoder of a folder with the config.json of an `AutoencoderKL` and its
/// diffusion_pytorch_model. The encoder of the folder is not read. Configuration, names and shapes
/// are checked before memory is allocated. Throws FileError, ConfigError, FormatError.
[[nodiscard]] DiffusersVaeDecoder load_diffusers_vae_decoder(const std::string& folder);

}  // namespace rae
