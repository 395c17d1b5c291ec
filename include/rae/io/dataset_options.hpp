// How the pictures of a data set are converted to one size and number of channels, and varied.
#pragma once

#include <cstdint>

#include "rae/core/shape.hpp"

namespace rae {

/// The training or the test part of a data set.
enum class Split { train, test };

/// How pictures are converted to one size and number of channels.
struct DatasetOptions {
  /// Height of the pictures, at most 4096; 0 keeps the size of IDX and CIFAR pictures and is
  /// refused for folders. IDX pictures are padded with black to this size, others are resized.
  index_t size = 0;
  /// Width of the pictures, at most 4096; 0 means `size`, so that they are square. Another width
  /// needs a `size` as well.
  index_t width = 0;
  /// 1 or 3; 0 means 1 for IDX files and 3 for others.
  int channels = 0;
  /// Folders and CIFAR: resize the picture to cover 3/2 of the size and crop at a random place,
  /// which shows 2/3 of each side, instead of resizing it to the size and cropping the centre
  /// (ADM). IDX: a random place in the padding. To vary pictures while training, the random resized
  /// crop of `Augmentation` loses less of them.
  bool random_crop = false;
  /// Flip each picture from left to right with probability 1/2.
  bool flip = false;
  /// Seed of the crops and flips.
  std::uint64_t seed = 0;
  /// Folders: show pictures as their pixels are stored, whatever orientation their EXIF data give,
  /// as the official loader does.
  bool ignore_exif = false;

  bool operator==(const DatasetOptions&) const = default;
};

}  // namespace rae
