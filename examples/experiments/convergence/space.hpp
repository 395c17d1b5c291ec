// The latents that the experiment `convergence` compares: those of a pretrained frozen encoder, of
// a VAE of the same sizes, of a random frozen encoder, and patches of pixels.
#pragma once

#include <string>
#include <vector>

#include "frame/representation.hpp"

namespace rae::experiments {

/// Sizes that all kinds of latents share, and how their networks are trained.
struct SpacePlan {
  NetworkPlan networks{.width = 128, .batch = 64};
  index_t vae_dim = 16;          ///< elements of a token of the VAE
  double kl_weight = 1e-4;       ///< see VaeLossOptions
  index_t encoder_steps = 4000;  ///< of the pretraining; the VAE trains as long as both
  index_t decoder_steps = 2400;  ///< of each decoder on a frozen encoder
};

/// Latents of a data set, and the way back to pictures.
struct Space {
  Representation representation{};
  /// Pictures (B, 3, H, W) of latents (B, C, h, w).
  Function<Tensor<float>(const Tensor<float>& latents)> decode{};
  double cpu_seconds = 0;  ///< of training encoder and decoder
};

/// Names of the kinds of latents.
[[nodiscard]] std::vector<std::string> space_names();

/// Trains the networks of a kind of latents on square pictures of three channels, and encodes them.
/// Throws ArgumentError for an unknown name, and what training throws.
[[nodiscard]] Space make_space(const std::string& name,
                               const OwnedPointer<const ImageDataset>& data, const SpacePlan& plan,
                               std::uint64_t seed);

}  // namespace rae::experiments
