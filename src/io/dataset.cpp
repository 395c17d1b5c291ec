#include "rae/io/dataset.hpp"

#include <filesystem>
#include <system_error>

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
                                              const DatasetOptions& options) {
  if (!is_folder(folder)) raise<FileError>("'", folder, "' is not a folder");
  if (!detail::find_idx(folder, detail::idx_name(split, "images-idx3-ubyte")).empty())
    return open_fashion_mnist(folder, split, options);
  const fs::path train = fs::path(folder) / "train";
  for (const char* name : {"test", "val"}) {
    const fs::path test = fs::path(folder) / name;
    if (is_folder(train) && is_folder(test))
      return open_image_folder((split == Split::train ? train : test).string(), options);
  }
  return open_image_folder(folder, options);
}

}  // namespace rae
