// Data sets of labelled pictures: IDX files (MNIST, Fashion-MNIST), which are kept in memory, and
// folders of picture files, which are decoded when they are read.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "rae/core/owner.hpp"
#include "rae/core/shape.hpp"

namespace rae {

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

  /// Number of floats of one picture: channels * height * width.
  [[nodiscard]] index_t image_size() const { return channels() * height() * width(); }

  /// Writes picture `i` as (C, H, W) in [0, 1]. Crops and flips are a function of (seed, epoch, i),
  /// so they are the same on every thread and in every run. Throws ArgumentError for an index
  /// outside [0, size()) and a span of another size, FileError or FormatError when a picture file
  /// cannot be read.
  void image(index_t i, std::span<float> out, std::uint64_t epoch = 0) const;

  /// Class of picture `i`. Throws ArgumentError for an index outside [0, size()).
  [[nodiscard]] index_t label(index_t i) const;

 protected:
  /// Implements `image`; the arguments are already checked.
  virtual void load(index_t i, std::span<float> out, std::uint64_t epoch) const = 0;
  /// Implements `label`; the argument is already checked.
  [[nodiscard]] virtual index_t load_label(index_t i) const = 0;
};

/// How pictures are converted to one size and number of channels.
struct DatasetOptions {
  /// Height of the pictures, at most 4096; 0 keeps the size of IDX pictures and is refused for
  /// folders. IDX pictures are padded with black to this size.
  index_t size = 0;
  /// Width of the pictures, at most 4096; 0 means `size`, so that they are square. Another width
  /// needs a `size` as well.
  index_t width = 0;
  /// 1 or 3; 0 means 1 for IDX files and 3 for folders.
  int channels = 0;
  /// Folders: resize the picture to cover 3/2 of the size and crop at a random place, instead of
  /// resizing it to the size and cropping the centre (ADM). IDX: a random place in the padding.
  bool random_crop = false;
  /// Flip each picture from left to right with probability 1/2.
  bool flip = false;
  /// Seed of the crops and flips.
  std::uint64_t seed = 0;
};

/// The training or the test part of a data set.
enum class Split { train, test };

/// Pictures and labels in two IDX files, plain or gzip-compressed. `class_names` may be empty:
/// classes are then called "0", "1", ... Throws FileError, FormatError when the numbers of pictures
/// and labels differ or a label has no name, ArgumentError for options out of range.
[[nodiscard]] OwnedPointer<const ImageDataset> open_idx(const std::string& images,
                                                        const std::string& labels,
                                                        std::vector<std::string> class_names = {},
                                                        const DatasetOptions& options = {});

/// Fashion-MNIST with its ten class names, from the folder of its four files
/// "train-images-idx3-ubyte", ..., with or without ".gz". Throws FileError when a file of the split
/// is missing, and as `open_idx`.
[[nodiscard]] OwnedPointer<const ImageDataset> open_fashion_mnist(
    const std::string& folder, Split split, const DatasetOptions& options = {});

/// One class per sub-folder that contains .png, .jpg, .jpeg or .bmp files; classes and files are
/// sorted by name. If no sub-folder contains pictures, the pictures of the folder itself are one
/// class. Files are decoded when they are read. Throws FileError when there is no picture,
/// ArgumentError for options out of range or without a size.
[[nodiscard]] OwnedPointer<const ImageDataset> open_image_folder(const std::string& folder,
                                                                 const DatasetOptions& options);

/// Fashion-MNIST when the folder contains its pictures of this split; else a folder of pictures,
/// whose sub-folders "train" and "test" (or "val") are the splits if it has both. Throws as
/// `open_fashion_mnist` and `open_image_folder`.
[[nodiscard]] OwnedPointer<const ImageDataset> open_dataset(const std::string& folder, Split split,
                                                            const DatasetOptions& options = {});

/// `count` pictures of `dataset` from `first` on, with the same crops and flips as in `dataset`.
/// Throws ArgumentError when it has fewer pictures.
[[nodiscard]] OwnedPointer<const ImageDataset> slice(OwnedPointer<const ImageDataset> dataset,
                                                     index_t first, index_t count);

/// The first `count` pictures, and the rest. Throws ArgumentError when there are fewer.
[[nodiscard]] std::pair<OwnedPointer<const ImageDataset>, OwnedPointer<const ImageDataset>>
split_at(OwnedPointer<const ImageDataset> dataset, index_t count);

}  // namespace rae
