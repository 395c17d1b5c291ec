// Data sets of labelled pictures: IDX files, and folders of picture files.
#pragma once

#include <string>

#include "rae/io/idx_dataset.hpp"
#include "rae/io/image_dataset.hpp"
#include "rae/io/image_folder.hpp"

namespace rae {

/// Fashion-MNIST when the folder contains its pictures of this split; else a folder of pictures,
/// whose sub-folders "train" and "test" (or "val") are the splits if it has both. Throws as
/// `open_fashion_mnist` and `open_image_folder`.
[[nodiscard]] OwnedPointer<const ImageDataset> open_dataset(const std::string& folder, Split split,
                                                            const DatasetOptions& options = {});

}  // namespace rae
