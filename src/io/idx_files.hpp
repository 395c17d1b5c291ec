// The names of the files of MNIST and Fashion-MNIST in a folder.
#pragma once

#include <filesystem>
#include <string>
#include <system_error>

#include "rae/io/dataset_options.hpp"

namespace rae::detail {

/// The file `name` or `name`.gz in a folder; "" when there is neither.
inline std::string find_idx(const std::string& folder, const std::string& name) {
  std::error_code ignored;
  for (const char* ending : {"", ".gz"}) {
    const auto path = (std::filesystem::path(folder) / (name + ending)).string();
    if (std::filesystem::is_regular_file(path, ignored)) return path;
  }
  return {};
}

/// The name of a file of this split.
inline std::string idx_name(Split split, const char* name) {
  return (split == Split::train ? "train-" : "t10k-") + std::string(name);
}

}  // namespace rae::detail
