// Data sets of labelled pictures: IDX files, CIFAR, and folders of picture files.
#pragma once

#include <string>
#include <vector>

#include "rae/io/cifar.hpp"
#include "rae/io/idx_dataset.hpp"
#include "rae/io/image_dataset.hpp"
#include "rae/io/image_folder.hpp"

namespace rae {

/// IDX files when the folder contains those of this split; CIFAR-10 or CIFAR-100, with
/// fine labels, when it contains any pictures of their binary version; else a folder of pictures.
/// Its sub-folders "train" and "test" (or else "val", "validation" or "valid") are the splits; a
/// lone sub-folder "train", and a folder without such sub-folders, is both. The labels of the test
/// part are those of the classes of the training part. `left_out` are paths of pictures that are
/// not used. Throws as `open_idx_folder`, `open_cifar` and `open_image_folder`.
[[nodiscard]] OwnedPointer<const ImageDataset> open_dataset(
    const std::string& folder, Split split, const DatasetOptions& options = {},
    const std::vector<std::string>& left_out = {});

}  // namespace rae
