// The sizes of the small encoders and decoders of the experiments, and how they are trained.
#pragma once

#include "rae/models/decoder.hpp"
#include "rae/models/encoder.hpp"
#include "rae/models/pixel_norm.hpp"
#include "rae/train/training_loop.hpp"

namespace rae::experiments {

/// Sizes that the encoder and the decoder share: transformers with heads of 32 elements.
struct NetworkPlan {
  index_t size = 32, patch = 8;     ///< pixels of a side, pixels per token along either side
  index_t width = 192, layers = 4;  ///< of encoder and decoder
  index_t batch = 128;              ///< pictures of a training step
};

/// The normalisation of the pixels.
inline constexpr PixelNorm kPixels{{0.5, 0.5, 0.5}, {0.25, 0.25, 0.25}};

/// The encoder with these sizes: tokens of `width` elements.
[[nodiscard]] EncoderConfig encoder_config(const NetworkPlan& plan);

/// The decoder of latents (C, h, w) to pictures of `plan.size`. Throws ConfigError when the grid is
/// not square or does not divide the size.
[[nodiscard]] DecoderConfig decoder_config(const NetworkPlan& plan, const Shape& latent);

/// Numbers of the optimiser for encoders, decoders and VAEs.
[[nodiscard]] TrainingOptions network_training(const NetworkPlan& plan, index_t steps,
                                               std::uint64_t seed);

/// The sizes as settings of a checkpoint or of stored points.
[[nodiscard]] ConfigNode to_config(const NetworkPlan& plan);

}  // namespace rae::experiments
