// A safetensors file written tensor by tensor, for models that are larger than memory should hold
// twice.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "rae/io/file.hpp"
#include "rae/io/safetensors.hpp"

namespace rae {

/// A tensor that a file will have.
struct SafetensorsSlot {
  std::string name;  ///< in the file
  DType dtype{};     ///< in the file
  Shape shape;       ///< extents, outermost first
};

/// Writes the header first, then each tensor as it comes, in the order of the slots. The file
/// appears under its name with `commit`; without that there is none, and an old one stays as it
/// was.
class SafetensorsWriter {
 public:
  /// Throws ArgumentError for an empty, reserved or repeated name or text that is not UTF-8,
  /// FileError when the file cannot be written.
  SafetensorsWriter(const std::string& path, std::vector<SafetensorsSlot> slots,
                    const std::map<std::string, std::string>& metadata = {});

  /// The next tensor, converted to the slot's type: floats to any float, other types must be the
  /// slot's. Throws ArgumentError, ShapeError when it is not what the slot promises, FileError.
  void write(const AnyTensor& tensor);

  /// The next tensor as its little-endian bytes in the file. Throws ArgumentError, ShapeError when
  /// they are not as many as the slot has, FileError.
  void write_bytes(std::span<const std::byte> bytes);

  /// Flushes and gives the file its name. Throws ArgumentError when a tensor is still to be
  /// written, FileError.
  void commit();

 private:
  const SafetensorsSlot& next_slot() const;

  std::string header_;  // before the file: one that cannot have a header is not begun
  AtomicFile file_;
  std::vector<SafetensorsSlot> slots_;
  std::size_t next_ = 0;
};

}  // namespace rae
