// The manifest of a data set: the names, sizes and checksums of its pictures, its classes in label
// order, and the options with which it is read. Two runs that see equal manifests see the same
// pictures, so a checkpoint can be tied to the data that it was trained on; `differences`
// (rae/io/data_difference.hpp) says in words what has changed between two.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rae/io/config.hpp"
#include "rae/io/dataset_options.hpp"

namespace rae {

/// How much of each picture file a checksum covers: its size with its first, middle and last 4 KiB,
/// or all of its bytes.
enum class ChecksumExtent { sampled, full };

/// "sampled" or "full".
[[nodiscard]] std::string_view name_of(ChecksumExtent extent) noexcept;

/// A picture file.
struct ManifestFile {
  std::string name;            ///< within its class; any bytes that a file name can have
  std::uint64_t bytes = 0;     ///< size of the file
  std::uint32_t checksum = 0;  ///< CRC-32 of the bytes that `ChecksumExtent` says

  bool operator==(const ManifestFile&) const = default;
};

/// The pictures of a class.
struct ManifestClass {
  std::string name;                   ///< of the class
  index_t pictures = 0;               ///< their number
  std::uint32_t checksum = 0;         ///< of all names, sizes and contents, in order
  std::vector<ManifestFile> files{};  ///< in order; empty where the pictures are no files, and in a
                                      ///< stored manifest of very many pictures

  /// Adds a picture that is not a file, by its position in the data set and its pixels.
  void add(index_t position, std::span<const std::byte> pixels);

  bool operator==(const ManifestClass&) const = default;
};

/// What a data set consists of. A value.
struct DataManifest {
  std::vector<ManifestClass> classes{};  ///< by label
  DatasetOptions options{};  ///< as they take effect: with size, width and channels, and without a
                             ///< seed where nothing is drawn
  ChecksumExtent extent = ChecksumExtent::sampled;  ///< of the checksums
  index_t held_out = 0;  ///< pictures among them by which the training is measured, and that it
                         ///< does not see

  /// Number of pictures.
  [[nodiscard]] index_t pictures() const noexcept;

  /// CRC-32 of everything above except the lists of files, which the classes' checksums cover.
  [[nodiscard]] std::uint32_t checksum() const;

  /// The same without the names of the classes, for a training that does not use them.
  [[nodiscard]] DataManifest without_class_names() const;

  /// As a map for JSON. Lists of files that need more than 1 MiB in all are left out; checksums and
  /// numbers of pictures remain.
  [[nodiscard]] ConfigNode to_config() const;

  /// Inverse of `to_config`. Throws ConfigError, with the place, for a missing or unknown key and
  /// for values that do not fit.
  [[nodiscard]] static DataManifest from_config(const ConfigNode& node);

  bool operator==(const DataManifest&) const = default;
};

/// The checksum of the contents of a picture file, of `extent`. Throws FileError.
[[nodiscard]] ManifestFile manifest_file(const std::string& path, std::string name,
                                         ChecksumExtent extent = ChecksumExtent::sampled);

/// The checksum of a class with these files, for `ManifestClass::checksum`.
[[nodiscard]] std::uint32_t checksum_of(const std::vector<ManifestFile>& files);

}  // namespace rae
