// The latents that the experiment `convergence` compares: those of a pretrained frozen encoder, of
// a VAE of the same sizes, of a random frozen encoder, and patches of pixels.
#pragma once

#include <string>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/io/dataset.hpp"
#include "rae/train/training_loop.hpp"

namespace rae::experiments {

/// Sizes that all representations share, and how their networks are trained.
struct RepresentationPlan {
  index_t size = 32, patch = 8;     ///< pixels, pixels per token along either side
  index_t width = 192, layers = 6;  ///< of encoder and decoder
  index_t vae_dim = 16;             ///< elements of a token of the VAE
  double kl_weight = 1e-4;          ///< see VaeLossOptions
  index_t encoder_steps = 8000;     ///< of the pretraining; the VAE trains as long as both
  index_t decoder_steps = 4000;     ///< of each decoder on a frozen encoder
  index_t batch = 128;              ///< pictures of a step
};

/// Latents of a data set, and the way back to pictures.
struct Representation {
  Tensor<float> latents;             ///< (N, C, h, w), normalised per element
  std::vector<std::int64_t> labels;  ///< (N)
  /// Pictures (B, 3, H, W) of latents (B, C, h, w).
  Function<Tensor<float>(const Tensor<float>& latents)> decode{};
  double cpu_seconds = 0;  ///< of training encoder and decoder
};

/// Names of the representations.
[[nodiscard]] std::vector<std::string> representation_names();

/// Trains the networks of a representation on square pictures of three channels, and encodes them.
/// Throws ArgumentError for an unknown name, and what training throws.
[[nodiscard]] Representation make_representation(const std::string& name,
                                                 const OwnedPointer<const ImageDataset>& data,
                                                 const RepresentationPlan& plan,
                                                 std::uint64_t seed);

/// Seconds of all cores that this process has used.
[[nodiscard]] double cpu_seconds();

}  // namespace rae::experiments
