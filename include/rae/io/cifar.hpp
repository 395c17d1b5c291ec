// CIFAR-10 and CIFAR-100 in their binary version: 32 x 32 colour photographs in 10 or 100 classes.
//
// Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009), and the
// description of the binary version by its author.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "rae/io/image_dataset.hpp"

namespace rae {

/// Which of the data sets. A record of CIFAR-10 is a label and 3 x 32 x 32 samples; one of
/// CIFAR-100 has the label of the superclass (coarse) before that of the class (fine).
enum class Cifar { cifar10, cifar100 };

/// The classes of CIFAR-100: 100 fine ones, or the 20 superclasses. CIFAR-10 has only fine ones.
enum class CifarLabels { fine, coarse };

/// The records of a file of pictures. Refers to the bytes of the file, which must outlive it.
class CifarRecords {
 public:
  static constexpr index_t kSide = 32, kSamples = 3 * kSide * kSide;

  /// `origin` names the file in messages. Throws FormatError unless the bytes are a whole number of
  /// records, at least one, whose labels are all in range.
  CifarRecords(std::span<const std::byte> bytes, Cifar kind, const std::string& origin);

  /// Number of pictures.
  [[nodiscard]] index_t size() const noexcept { return size_; }
  /// The label of picture `i`, which must be in [0, size()).
  [[nodiscard]] index_t label(index_t i, CifarLabels labels = CifarLabels::fine) const noexcept;
  /// The samples of picture `i`, which must be in [0, size()): (3, 32, 32), red, green and blue.
  [[nodiscard]] std::span<const std::byte> samples(index_t i) const noexcept;

 private:
  std::span<const std::byte> bytes_;
  std::size_t label_bytes_;
  index_t size_;
};

/// The names of a file such as batches.meta.txt or fine_label_names.txt: one in each line, with
/// empty lines at the end of the file ignored. Throws FormatError unless there are `count` names.
[[nodiscard]] std::vector<std::string> parse_cifar_names(std::span<const std::byte> bytes,
                                                         index_t count,
                                                         const std::string& origin = "memory");

/// CIFAR-10 (data_batch_1.bin to data_batch_5.bin, test_batch.bin, batches.meta.txt) or CIFAR-100
/// (train.bin, test.bin, fine_label_names.txt, coarse_label_names.txt) in a folder or in its
/// sub-folder cifar-10-batches-bin or cifar-100-binary. The files are memory-mapped. Pictures of
/// another size than 32 x 32 are resized as those of a picture folder; size 0 keeps 32 x 32.
/// Throws FileError when a file is missing, FormatError, ArgumentError for options out of range.
[[nodiscard]] OwnedPointer<const ImageDataset> open_cifar(const std::string& folder, Split split,
                                                          const DatasetOptions& options = {},
                                                          CifarLabels labels = CifarLabels::fine);

}  // namespace rae
