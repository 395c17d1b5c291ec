// Data sets of picture files in folders, which are decoded when they are read, and kept in memory
// if they are read again.
#pragma once

#include <string>
#include <vector>

#include "rae/io/image_dataset.hpp"

namespace rae {

/// Most bytes of decoded pictures that a folder of pictures keeps in memory, if four times as many
/// are available. A picture is kept from its second reading on, if it needs no more than its share:
/// half of these bytes, divided by the number of pictures, in the stored size, and as much in the
/// size of the data set.
inline constexpr index_t kKeptPictureBytes = index_t{1} << 30;

/// Which pictures of a folder are used, and with which labels.
struct ImageFolderSelection {
  /// Names of the classes by label; empty: the sub-folders, sorted. A test part takes those of the
  /// training part, so that equal labels mean equal classes even where it lacks a class.
  std::vector<std::string> class_names{};
  std::vector<std::string> left_out{};  ///< paths of pictures that are not used
};

/// One class per sub-folder that contains .png, .jpg, .jpeg, .jfif or .bmp files, or .webp files in
/// a build with libwebp; classes and files are sorted by name. If no sub-folder contains pictures,
/// the pictures of the folder itself are one class. Hidden files and folders are ignored. Files are
/// decoded when they are read, and not again while `kKeptPictureBytes` suffice. Throws FileError
/// when there is no picture or a class is not in `selection`, ArgumentError for options out of
/// range or without a size.
[[nodiscard]] OwnedPointer<const ImageDataset> open_image_folder(
    const std::string& folder, const DatasetOptions& options,
    const ImageFolderSelection& selection = {});

}  // namespace rae
