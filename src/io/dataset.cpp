#include "rae/io/dataset.hpp"

#include <filesystem>
#include <system_error>

#include "cifar_files.hpp"
#include "folder_listing.hpp"
#include "idx_files.hpp"

namespace rae {

namespace fs = std::filesystem;

namespace {

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

}  // namespace

OwnedPointer<const ImageDataset> open_dataset(const std::string& folder, Split split,
                                              const DatasetOptions& options,
                                              const std::vector<std::string>& left_out) {
  if (!is_folder(folder)) raise<FileError>("'", folder, "' is not a folder");
  if (!detail::find_idx(folder, detail::idx_name(split, "images-idx3-ubyte")).empty())
    return open_idx_folder(folder, split, options);
  if (detail::find_cifar(folder)) return open_cifar(folder, split, options);
  const detail::SplitFolders parts = detail::split_folders(folder);
  if (split == Split::train || parts.test == parts.train)
    return open_image_folder(parts.train, options, {.left_out = left_out});
  // The labels of the test part are those of the training part.
  ImageFolderSelection selection{.left_out = left_out};
  for (auto& [name, files] : detail::list_picture_folder(parts.train).classes)
    selection.class_names.push_back(name);
  return open_image_folder(parts.test, options, selection);
}

}  // namespace rae
