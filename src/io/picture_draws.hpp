// The random numbers of crops and flips, and the sizes between which they choose.
#pragma once

#include <cstdint>
#include <string>

#include "rae/core/random.hpp"
#include "rae/io/dataset_options.hpp"
#include "rae/io/image.hpp"

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

/// The size to which a picture is resized before it is cropped.
struct Cover {
  index_t width = 0, height = 0;
  bool narrow = false;  ///< the height is cropped, not the width
};

/// The smallest size with the proportions of a picture that covers the size of the data set, or
/// 3/2 of it for random crops.
inline Cover cover(index_t width, index_t height, const DatasetOptions& options) {
  const index_t grown = options.random_crop ? 3 : 2;  // halves
  const index_t h = options.size * grown / 2, w = width_of(options) * grown / 2;
  if (width * h <= height * w) return {w, height * w / width, true};
  return {width * h / height, h, false};
}

/// Throws FormatError, naming the picture, when it is so narrow that its cover needs more pixels
/// than a picture can have.
inline void require_fit(index_t width, index_t height, const DatasetOptions& options,
                        const std::string& path) {
  const Cover c = cover(width, height, options);
  const index_t cropped = c.narrow ? c.height : c.width, kept = c.narrow ? c.width : c.height;
  if (cropped >= Image::kMaxSide || (cropped + 1) * kept > Image::kMaxPixels)
    raise<FormatError>(path, ": a picture of ", width, " x ", height, " is too narrow for ",
                       width_of(options), " x ", options.size);
}

}  // namespace rae::detail
