// Latents that stage 2 keeps in memory, because it needs each of them many times.
//
// Diffusion Transformers with Representation Autoencoders, section 4: the flow is trained on the
// latents of a frozen encoder, so that a picture has the same latent in every epoch.
#pragma once

#include <vector>

#include "rae/models/rae.hpp"
#include "rae/train/batches.hpp"
#include "rae/train/flow_trainer.hpp"

namespace rae::detail {

/// Most bytes of the latents that are kept, if four times as many are available.
inline constexpr index_t kKeptLatentBytes = index_t{1} << 30;

/// The latents of the batches of a training. Those of pictures that do not vary, except that they
/// may be mirrored, are computed once, while `most_bytes` suffice.
class LatentCache {
 public:
  /// Throws as `Batches`.
  LatentCache(OwnedPointer<const ImageDataset> data, const Rae<float>& autoencoder,
              index_t batch_size, std::uint64_t seed, const Augmentation& augmentation,
              index_t most_bytes = kKeptLatentBytes);

  /// The normalised latents and labels of samples [begin, end) of batch `i`: bit for bit those that
  /// `autoencoder.encode` gives for `Batches`. Throws as these.
  [[nodiscard]] LatentBatch operator()(index_t i, index_t begin, index_t end);

 private:
  OwnedPointer<const ImageDataset> data_;
  const Rae<float>& autoencoder_;
  Batches batches_;
  bool varies_;
  index_t most_bytes_, bytes_ = 0;
  Shape latent_;                             // (B, C, h, w) of the latest call of the encoder
  std::vector<std::vector<float>> latents_;  // (C, h, w) of each picture, and of its mirror image
};

}  // namespace rae::detail
