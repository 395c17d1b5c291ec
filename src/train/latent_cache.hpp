// Latents that stage 2 keeps in memory or in a file, because it needs each of them many times.
//
// Diffusion Transformers with Representation Autoencoders, section 4: the flow is trained on the
// latents of a frozen encoder, so that a picture has the same latent in every epoch.
#pragma once

#include <optional>
#include <vector>

#include "rae/models/rae.hpp"
#include "rae/train/batches.hpp"
#include "rae/train/flow_trainer.hpp"
#include "train/latent_store.hpp"

namespace rae::detail {

/// Most bytes of the latents that are kept in memory, if four times as many are available.
inline constexpr index_t kKeptLatentBytes = index_t{1} << 30;

/// True when the latents of a data set's pictures are the same in every epoch, except that the
/// pictures may be mirrored.
[[nodiscard]] bool latents_repeat(const ImageDataset& data, const Augmentation& augmentation);

/// The number of latents that repeat: those of all pictures and, if they are `mirrored`, of their
/// mirror images.
[[nodiscard]] index_t repeated_latents(const ImageDataset& data, bool mirrored);

/// The latents of the batches of a training. Those that repeat are computed once and kept in a
/// file, or, without one, in memory while `most_bytes` suffice.
class LatentCache {
 public:
  /// The file is opened when the first latents are asked for. Throws as `Batches`.
  LatentCache(OwnedPointer<const ImageDataset> data, const Rae<float>& autoencoder,
              index_t batch_size, std::uint64_t seed, const Augmentation& augmentation,
              index_t most_bytes = kKeptLatentBytes, KeptLatents kept = {});

  /// The normalised latents and labels of samples [begin, end) of batch `i`: bit for bit those that
  /// `autoencoder.encode` gives for `Batches`, unless `KeptLatents` says that they are rounded.
  /// Throws as these, and as LatentStore.
  [[nodiscard]] LatentBatch operator()(index_t i, index_t begin, index_t end);

  /// Latents (n, C, h, w) of pictures [first, first + n) before normalisation, neither mirrored nor
  /// rounded. The data set must not vary by epoch. They are taken from the file, if they are exact
  /// there, and are added to it. Throws as above.
  [[nodiscard]] Tensor<float> exact(index_t first, index_t n);

 private:
  [[nodiscard]] std::size_t slot_of(const BatchSample& sample) const;
  [[nodiscard]] Tensor<float> take(const std::vector<BatchSample>& samples, bool exact);
  [[nodiscard]] bool find(std::size_t slot, std::span<float> out) const;
  void keep(std::size_t slot, std::span<const float> latent);
  void round(std::span<float> latent) const;

  OwnedPointer<const ImageDataset> data_;
  const Rae<float>& autoencoder_;
  Batches batches_;
  bool repeat_;
  index_t most_bytes_, bytes_ = 0;
  KeptLatents kept_;
  std::optional<LatentStore> store_;
  std::vector<std::vector<float>> latents_;  // (C, h, w) of each picture, and of its mirror image
};

}  // namespace rae::detail
