// Batches of labelled pictures: epochs in a shuffled order that depends on the seed only, so that a
// resumed run sees the same pictures.
//
// As the shuffled loader of the official train.py, except that the last pictures of an epoch are
// followed by those of the next one instead of being dropped.
#pragma once

#include <cstdint>
#include <vector>

#include "rae/core/owner.hpp"
#include "rae/core/tensor.hpp"
#include "rae/io/dataset.hpp"
#include "rae/train/augmentation.hpp"

namespace rae {

/// Pictures of one training step.
struct Batch {
  Tensor<float> images;              ///< (B, C, H, W) in [0, 1]
  std::vector<std::int64_t> labels;  ///< (B)
  std::uint64_t first =
      0;  ///< number of the first sample since the training began: a stream for its random draws
};

/// One sample of a training step.
struct BatchSample {
  index_t picture = 0;       ///< number of the picture in the data set
  bool mirrored = false;     ///< by the augmentation
  std::uint64_t number = 0;  ///< since the training began
};

/// An endless, shuffled sequence of the pictures of a data set.
class Batches {
 public:
  /// Sequences of other numbers `view` have the same pictures with other draws of the augmentation.
  /// Throws ArgumentError for an empty data set, a batch size below 1, and as
  /// `require_augmentation`.
  Batches(OwnedPointer<const ImageDataset> data, index_t batch_size, std::uint64_t seed,
          const Augmentation& augmentation = {}, unsigned view = 0);

  /// Batch `i` of the sequence; a function of (seed, i). Throws as `ImageDataset::image`.
  [[nodiscard]] Batch operator()(index_t i) { return (*this)(i, 0, batch_size_); }
  /// Samples [begin, end) of the same batch, such as those of one rank.
  [[nodiscard]] Batch operator()(index_t i, index_t begin, index_t end);

  /// The same samples without their pixels.
  [[nodiscard]] std::vector<BatchSample> samples(index_t i, index_t begin, index_t end);

 private:
  void shuffle(std::uint64_t epoch);

  OwnedPointer<const ImageDataset> data_;
  index_t batch_size_;
  std::uint64_t seed_, stream_;  // stream_: of sample 0
  Augmentation augmentation_;
  std::vector<index_t> order_;  // of epoch_
  std::uint64_t epoch_ = ~std::uint64_t{0};
};

}  // namespace rae
