// Event files of TensorBoard: numbers and pictures by step, in records with checksums.
//
// Format: TensorFlow's record files (tensorflow/core/lib/io/record_writer.h) of Event messages
// (event.proto, summary.proto).
#pragma once

#include <cstdint>
#include <fstream>
#include <span>
#include <string>
#include <string_view>

#include "rae/io/image.hpp"

namespace rae {

/// The CRC-32C (Castagnoli) of bytes, as iSCSI (RFC 3720) defines it.
[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> bytes);

/// A new event file, to which records are appended whole. A program that reads it meanwhile sees
/// all records that were written.
class EventFile {
 public:
  /// Creates "events.out.tfevents.SECONDS.rae.PROCESS.COUNT" in an existing folder. Records of
  /// other files in this folder count only below `first_step`, so that a run that continues from a
  /// checkpoint replaces the steps that it computes again. Throws FileError.
  explicit EventFile(const std::string& folder, index_t first_step = 0);

  /// A number under a name such as "loss". Throws FileError.
  void scalar(std::string_view name, index_t step, double value);
  /// A picture, as PNG. Throws FileError, ArgumentError for an empty picture.
  void image(std::string_view name, index_t step, const Image& image);

  /// The name of the file.
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  void write_event(std::string_view fields);
  void summary(std::string_view name, index_t step, std::string_view value);

  std::string path_;
  std::ofstream out_;
};

}  // namespace rae
