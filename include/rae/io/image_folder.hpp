// Data sets of picture files in folders, which are decoded when they are read.
#pragma once

#include <string>

#include "rae/io/image_dataset.hpp"

namespace rae {

/// One class per sub-folder that contains .png, .jpg, .jpeg or .bmp files; classes and files are
/// sorted by name. If no sub-folder contains pictures, the pictures of the folder itself are one
/// class. Files are decoded when they are read. Throws FileError when there is no picture,
/// ArgumentError for options out of range or without a size.
[[nodiscard]] OwnedPointer<const ImageDataset> open_image_folder(const std::string& folder,
                                                                 const DatasetOptions& options);

}  // namespace rae
