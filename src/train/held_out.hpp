// Pictures that a training does not see, on which its loss is measured at each checkpoint. Their
// random draws are fixed, so that the values of different steps can be compared.
#pragma once

#include <vector>

#include "rae/autograd/var.hpp"
#include "rae/train/batches.hpp"

namespace rae::detail {

/// At most this many pictures are measured at a checkpoint.
inline constexpr index_t kHeldOutPictures = 64;

/// `count` pictures of a data set at equal distances, so that all classes of a sorted data set are
/// among them, without crops and flips that vary. `first` counts from `stream`. Throws as
/// ImageDataset::image.
[[nodiscard]] Batch spread_batch(const ImageDataset& data, index_t count, std::uint64_t stream = 0);

/// A fixed part of a held-out data set, in batches.
class HeldOut {
 public:
  /// `data` may be null or empty. The pictures are read when they are needed.
  HeldOut(OwnedPointer<const ImageDataset> data, index_t batch_size);

  /// True when there are no pictures.
  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }

  /// The mean of a loss () over the pictures. The draws of `loss` must be a function of
  /// `Batch::first`, which is above all numbers of the training. Nothing is recorded on a tape.
  [[nodiscard]] double mean(const Function<Var<float>(const Batch&)>& loss) const;

 private:
  OwnedPointer<const ImageDataset> data_;
  index_t batch_size_ = 1, count_ = 0;
};

}  // namespace rae::detail
