// The interface of data sets of labelled pictures, and parts of a data set.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/core/owner.hpp"
#include "rae/core/shape.hpp"
#include "rae/io/data_manifest.hpp"

namespace rae {

/// A rectangle of pixels; x, y is its upper left corner.
struct PixelBox {
  index_t x = 0, y = 0, width = 0, height = 0;
};

/// Chooses a part of a picture of this size.
using ChooseBox = Function<PixelBox(index_t width, index_t height)>;

/// Pictures of one size with class labels. All members can be called from several threads at once.
class ImageDataset {
 public:
  ImageDataset() = default;
  ImageDataset(const ImageDataset&) = delete;
  ImageDataset& operator=(const ImageDataset&) = delete;
  virtual ~ImageDataset() = default;

  /// Number of pictures.
  [[nodiscard]] virtual index_t size() const = 0;
  /// 1 (gray) or 3 (RGB).
  [[nodiscard]] virtual int channels() const = 0;
  /// Rows of every picture.
  [[nodiscard]] virtual index_t height() const = 0;
  /// Columns of every picture.
  [[nodiscard]] virtual index_t width() const = 0;
  /// Names of the classes, by label.
  [[nodiscard]] virtual const std::vector<std::string>& class_names() const = 0;

  /// Whether a picture may differ between epochs. Here: true.
  [[nodiscard]] virtual bool varies_by_epoch() const { return true; }

  /// Number of floats of one picture: channels * height * width.
  [[nodiscard]] index_t image_size() const { return channels() * height() * width(); }

  /// Writes picture `i` as (C, H, W) in [0, 1]. Crops and flips are a function of (seed, epoch, i),
  /// so they are the same on every thread and in every run. Throws ArgumentError for an index
  /// outside [0, size()) and a span of another size, FileError or FormatError when a picture file
  /// cannot be read.
  void image(index_t i, std::span<float> out, std::uint64_t epoch = 0) const;

  /// Writes the part of picture `i` that `choose` selects, resized to the size of the data set,
  /// with the flips of `image`. The part is one of the picture as it is stored if that is a file,
  /// else of the picture of `image`. Throws as `image`, and ArgumentError for a part that is not
  /// inside.
  void part(index_t i, std::span<float> out, std::uint64_t epoch, const ChooseBox& choose) const;

  /// Class of picture `i`. Throws ArgumentError for an index outside [0, size()).
  [[nodiscard]] index_t label(index_t i) const;

  /// The classes, checksums and options of the data set. Throws as `image`.
  [[nodiscard]] DataManifest manifest(ChecksumExtent extent = ChecksumExtent::sampled) const {
    return manifest(0, size(), extent);
  }
  /// The same for `count` pictures from `first` on. Throws ArgumentError when there are fewer.
  [[nodiscard]] DataManifest manifest(index_t first, index_t count, ChecksumExtent extent) const;

 protected:
  /// Implements `image`; the arguments are already checked.
  virtual void load(index_t i, std::span<float> out, std::uint64_t epoch) const = 0;
  /// Implements `part`; the arguments are already checked. Here: samples are rounded to 8 bits.
  virtual void load_part(index_t i, std::span<float> out, std::uint64_t epoch,
                         const ChooseBox& choose) const;
  /// Implements `label`; the argument is already checked.
  [[nodiscard]] virtual index_t load_label(index_t i) const = 0;
  /// Implements `manifest` but for the size and channels in its options; the arguments are already
  /// checked. Here: checksums of the pixels of epoch 0, whatever the extent.
  [[nodiscard]] virtual DataManifest load_manifest(index_t first, index_t count,
                                                   ChecksumExtent extent) const;
};

/// `count` pictures of `dataset` from `first` on, with the same crops and flips as in `dataset`.
/// Throws ArgumentError when it has fewer pictures.
[[nodiscard]] OwnedPointer<const ImageDataset> slice(OwnedPointer<const ImageDataset> dataset,
                                                     index_t first, index_t count);

/// The pictures of `dataset` with these indices, in this order, with the same crops and flips as in
/// `dataset`. Its manifest has checksums of pixels. Throws ArgumentError for an index out of range.
[[nodiscard]] OwnedPointer<const ImageDataset> subset(OwnedPointer<const ImageDataset> dataset,
                                                      std::vector<index_t> pictures);

/// The first `count` pictures, and the rest. Throws ArgumentError when there are fewer.
[[nodiscard]] std::pair<OwnedPointer<const ImageDataset>, OwnedPointer<const ImageDataset>>
split_at(OwnedPointer<const ImageDataset> dataset, index_t count);

}  // namespace rae
