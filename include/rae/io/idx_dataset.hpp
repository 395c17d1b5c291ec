// Data sets in IDX files (MNIST, Fashion-MNIST), which are kept in memory.
#pragma once

#include <string>
#include <vector>

#include "rae/io/image_dataset.hpp"

namespace rae {

/// Pictures and labels in two IDX files, plain or gzip-compressed. `class_names` may be empty:
/// classes are then called "0", "1", ... Throws FileError, FormatError when the numbers of pictures
/// and labels differ or a label has no name, ArgumentError for options out of range.
[[nodiscard]] OwnedPointer<const ImageDataset> open_idx(const std::string& images,
                                                        const std::string& labels,
                                                        std::vector<std::string> class_names = {},
                                                        const DatasetOptions& options = {});

/// The pictures of a split in a folder with files named as those of MNIST
/// ("train-images-idx3-ubyte", ..., with or without ".gz"). The names of the classes are those of
/// Fashion-MNIST when the labels begin as its labels do; else "0", "1", ... up to the largest label
/// of both splits. Throws FileError when a file of the split is missing, and as `open_idx`.
[[nodiscard]] OwnedPointer<const ImageDataset> open_idx_folder(const std::string& folder,
                                                               Split split,
                                                               const DatasetOptions& options = {});

/// Fashion-MNIST with its ten class names, from the folder of its four files. Throws as
/// `open_idx_folder`.
[[nodiscard]] OwnedPointer<const ImageDataset> open_fashion_mnist(
    const std::string& folder, Split split, const DatasetOptions& options = {});

}  // namespace rae
