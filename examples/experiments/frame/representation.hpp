// A representation of a data set: its latents in memory, and decoders of a frozen encoder.
//
// Diffusion Transformers with Representation Autoencoders (arXiv 2510.11690), sections 3 and 4
// (normalised latents, noise-augmented decoding).
#pragma once

#include <vector>

#include "frame/networks.hpp"
#include "rae/core/function.hpp"
#include "rae/io/dataset.hpp"
#include "rae/models/rae.hpp"
#include "rae/train/decoder_trainer.hpp"

namespace rae::experiments {

/// Latents (B, C, h, w), not normalised, of pictures (B, 3, H, W) in [0, 1].
using Encode = Function<Tensor<float>(const Tensor<float>& images)>;

/// Latents of a data set.
struct Representation {
  Tensor<float> latents;             ///< (N, C, h, w), normalised by `norm`
  std::vector<std::int64_t> labels;  ///< (N)
  LatentNorm<float> norm;            ///< mean and variance (C, h, w) over the data set

  /// Shape (C, h, w) of a latent.
  [[nodiscard]] Shape shape() const {
    return {latents.extent(1), latents.extent(2), latents.extent(3)};
  }
};

/// The `encode_unnormalized` of a frozen encoder.
[[nodiscard]] Encode encode_of(const Rae<float>& encoder);

/// Latents (N, C, h, w) of all pictures, not normalised.
[[nodiscard]] Tensor<float> encode_all(const ImageDataset& data, const Encode& encode);

/// Latents of all pictures, normalised by their own statistics.
[[nodiscard]] Representation represent(const ImageDataset& data, const Encode& encode);

/// Trains a decoder of these sizes for `steps` on a frozen encoder; returns the autoencoder of
/// both, with these statistics of the latents. `loss` needs no size of the encoder's pictures.
/// Throws as `train_decoder` and `decoder_config`.
[[nodiscard]] Rae<float> train_autoencoder(const Rae<float>& encoder,
                                           const OwnedPointer<const ImageDataset>& data,
                                           const NetworkPlan& plan, index_t steps,
                                           std::uint64_t seed, DecoderLossOptions loss,
                                           const LatentNorm<float>& norm, TrainingContext context);

}  // namespace rae::experiments
