// The names of the files of CIFAR-10 and CIFAR-100 in a folder.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "rae/io/cifar.hpp"

namespace rae::detail {

/// A folder with files of a data set.
struct CifarFolder {
  std::filesystem::path path;
  Cifar kind;

  /// The files of pictures of a split, in order.
  [[nodiscard]] std::vector<std::string> pictures(Split split) const {
    if (kind == Cifar::cifar100) return {split == Split::train ? "train.bin" : "test.bin"};
    if (split == Split::test) return {"test_batch.bin"};
    return {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
            "data_batch_5.bin"};
  }
  [[nodiscard]] bool has(const std::string& name) const {
    std::error_code ignored;
    return std::filesystem::is_regular_file(path / name, ignored);
  }
  /// Whether a file of pictures of the split exists.
  [[nodiscard]] bool has(Split split) const {
    for (const std::string& name : pictures(split))
      if (has(name)) return true;
    return false;
  }
};

/// The folder, or its sub-folder as the original archives name it, if it has pictures of CIFAR.
inline std::optional<CifarFolder> find_cifar(const std::string& folder) {
  const std::filesystem::path root(folder);
  const std::array<CifarFolder, 4> places = {
      CifarFolder{root, Cifar::cifar10}, CifarFolder{root, Cifar::cifar100},
      CifarFolder{root / "cifar-10-batches-bin", Cifar::cifar10},
      CifarFolder{root / "cifar-100-binary", Cifar::cifar100}};
  for (const CifarFolder& place : places)
    if (place.has(Split::train) || place.has(Split::test)) return place;
  return {};
}

}  // namespace rae::detail
