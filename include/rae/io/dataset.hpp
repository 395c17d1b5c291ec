// Sets of labelled pictures: IDX files (MNIST, Fashion-MNIST) kept in memory, folders of picture
// files decoded when asked for.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "rae/core/owner.hpp"
#include "rae/core/shape.hpp"

namespace rae {

/// Pictures of one size with class labels. Reading is const and may happen on several threads at
/// once.
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

  /// Floats of one picture: channels * height * width.
  [[nodiscard]] index_t image_size() const { return channels() * height() * width(); }

  /// Writes picture `i` as (C, H, W) in [0, 1]. Crops and flips are a function of (seed, epoch, i),
  /// so every thread and every run sees the same. Throws ArgumentError for an index or span that
  /// does not fit, FileError or FormatError when a picture file is broken.
  void image(index_t i, std::span<float> out, std::uint64_t epoch = 0) const;

  /// Class of picture `i`. Throws ArgumentError.
  [[nodiscard]] index_t label(index_t i) const;

 protected:
  /// Does the work of `image` for checked arguments.
  virtual void load(index_t i, std::span<float> out, std::uint64_t epoch) const = 0;
  /// Does the work of `label` for checked arguments.
  [[nodiscard]] virtual index_t load_label(index_t i) const = 0;
};

/// How pictures are brought to one form.
struct DatasetOptions {
  /// Height of the pictures; 0 keeps the size of IDX pictures and is refused for folders. IDX
  /// pictures are padded with black up to it.
  index_t size = 0;
  /// Width of the pictures; 0: `size`, so that they are square. Needs a `size`.
  index_t width = 0;
  /// 1 or 3; 0 means 1 for IDX files and 3 for folders.
  int channels = 0;
  /// Folders: scale the picture until it covers 3/2 of the size and cut at a random place, instead
  /// of the middle (ADM). IDX: random place in the padding.
  bool random_crop = false;
  /// Exchange left and right of every second picture, by chance.
  bool flip = false;
  /// Seed of the crops and flips.
  std::uint64_t seed = 0;
};

/// Which part of a dataset that comes in two.
enum class Split { train, test };

/// Pictures and labels in two IDX files, plain or gzip. Throws FileError, FormatError when the
/// counts differ or a label has no name, ArgumentError for bad options. `class_names` may be empty:
/// classes are then called "0", "1", ...
[[nodiscard]] OwnedPointer<const ImageDataset> open_idx(const std::string& images,
                                                        const std::string& labels,
                                                        std::vector<std::string> class_names = {},
                                                        const DatasetOptions& options = {});

/// Fashion-MNIST from the folder of its four files "train-images-idx3-ubyte", ..., with or without
/// ".gz", with its ten class names.
[[nodiscard]] OwnedPointer<const ImageDataset> open_fashion_mnist(
    const std::string& folder, Split split, const DatasetOptions& options = {});

/// One class per sub-folder, sorted by name, with the .png, .jpg, .jpeg and .bmp files in it,
/// sorted; without sub-folders with pictures, all files of the folder are one class. Files are
/// decoded when they are asked for. Throws FileError when there is no picture.
[[nodiscard]] OwnedPointer<const ImageDataset> open_image_folder(const std::string& folder,
                                                                 const DatasetOptions& options);

/// Fashion-MNIST when the folder holds its files (of the asked split), else a folder of pictures,
/// of which "train" and "test" (or "val") sub-folders are the splits when both are there.
[[nodiscard]] OwnedPointer<const ImageDataset> open_dataset(const std::string& folder, Split split,
                                                            const DatasetOptions& options = {});

/// `count` pictures of `dataset` from `first` on, which keep their augmentation draws. Throws
/// ArgumentError when they are not there.
[[nodiscard]] OwnedPointer<const ImageDataset> slice(OwnedPointer<const ImageDataset> dataset,
                                                     index_t first, index_t count);

/// The first `count` pictures, and the rest.
[[nodiscard]] std::pair<OwnedPointer<const ImageDataset>, OwnedPointer<const ImageDataset>>
split_at(OwnedPointer<const ImageDataset> dataset, index_t count);

}  // namespace rae
