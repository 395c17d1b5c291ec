// What the data sets share: the random numbers of their crops and flips, and the check of their
// options.
#pragma once

#include <cstdint>

#include "rae/core/random.hpp"
#include "rae/io/dataset_options.hpp"

namespace rae::detail {

/// The random numbers of one picture in one epoch.
class PictureDraws {
 public:
  PictureDraws(const DatasetOptions& options, std::uint64_t epoch, index_t i)
      : random_(options.seed, epoch),
        first_(static_cast<std::uint64_t>(i) * 4),
        flip_(options.flip) {}

  /// A random offset from 0 to `most`.
  index_t offset(std::uint64_t which, index_t most) const {
    return static_cast<index_t>(
        random_.below(first_ + which, static_cast<std::uint64_t>(most) + 1));
  }
  bool flips() const { return flip_ && random_.bits(first_ + 2) >> 31 != 0; }

 private:
  Philox random_;
  std::uint64_t first_;
  bool flip_;
};

inline constexpr index_t kMaxDatasetSide = 4096;

/// Throws ArgumentError for options out of range.
inline void require_dataset_options(const DatasetOptions& options) {
  if (options.channels != 0 && options.channels != 1 && options.channels != 3)
    raise<ArgumentError>("DatasetOptions: expected 1 or 3 channels, got ", options.channels);
  for (const index_t side : {options.size, options.width})
    if (side < 0 || side > kMaxDatasetSide)
      raise<ArgumentError>("DatasetOptions: expected a size from 1 to ", kMaxDatasetSide, ", got ",
                           side);
  if (options.width != 0 && options.size == 0)
    raise<ArgumentError>("DatasetOptions: expected a size beside the width ", options.width);
}

/// The width of pictures with a size.
inline index_t width_of(const DatasetOptions& options) {
  return options.width == 0 ? options.size : options.width;
}

}  // namespace rae::detail
