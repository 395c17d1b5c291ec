// A safetensors file written tensor by tensor, for models that are too large to be in memory twice.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "rae/io/file.hpp"
#include "rae/io/safetensors.hpp"

namespace rae {

/// A tensor that the file will contain.
struct SafetensorsSlot {
  std::string name;  ///< its name in the file
  DType dtype{};     ///< its type in the file
  Shape shape;       ///< extents, outermost first
};

/// Bytes of the file that a SafetensorsWriter writes for these slots and metadata. Throws
/// ArgumentError as its constructor.
[[nodiscard]] std::uint64_t safetensors_bytes(
    const std::vector<SafetensorsSlot>& slots,
    const std::map<std::string, std::string>& metadata = {});

/// Writes the header first, then each tensor as it is passed, in the order of the slots. The file
/// appears under its name with `commit`; without it there is no new file, and an existing one stays
/// as it was.
class SafetensorsWriter {
 public:
  /// Throws ArgumentError for an empty, reserved or repeated name or a string that is not UTF-8,
  /// FileError when the file cannot be written.
  SafetensorsWriter(const std::string& path, std::vector<SafetensorsSlot> slots,
                    const std::map<std::string, std::string>& metadata = {});

  /// The next tensor, converted to the slot's type: floats to any float, other types must be the
  /// slot's. Throws ArgumentError for another type or when no slot is left, ShapeError when its
  /// shape is not that of the slot, FileError.
  void write(const AnyTensor& tensor);

  /// The next tensor as its little-endian bytes in the file. Throws ArgumentError when no slot is
  /// left, ShapeError for another number of bytes than the slot has, FileError.
  void write_bytes(std::span<const std::byte> bytes);

  /// Flushes and gives the file its name. Throws ArgumentError when a tensor is still to be
  /// written, FileError.
  void commit();

 private:
  const SafetensorsSlot& next_slot() const;

  std::string header_;  // before `file_`: an invalid header throws before a file is created
  AtomicFile file_;
  std::vector<SafetensorsSlot> slots_;
  std::size_t next_ = 0;
};

}  // namespace rae
