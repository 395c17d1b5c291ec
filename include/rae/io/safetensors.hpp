// Safetensors files: named tensors, read through a memory map and validated before any use; written
// whole or not at all.
//
// Source: the format description of huggingface/safetensors.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rae/core/owner.hpp"
#include "rae/io/any_tensor.hpp"

namespace rae {

/// Element type and shape of a stored tensor.
struct TensorInfo {
  /// Element type in the file.
  DType dtype = DType::f32;
  /// Extents, outermost first.
  Shape shape;
};

/// A safetensors file opened for reading. A value; copies share the mapping.
///
/// Everything in the header is checked when the file is opened: its size, JSON types, element
/// types, shapes, and that the tensors tile the data exactly (no overlap, no hole, nothing left
/// over). So reading a tensor later cannot fail half-way.
class SafetensorsFile {
 public:
  /// Maps and validates a file. Throws FileError when it cannot be opened, FormatError when it is
  /// not a valid safetensors file.
  [[nodiscard]] static SafetensorsFile open(const std::string& path);

  /// Validates a file in memory, which must outlive the object. `origin` names it in messages.
  /// Throws FormatError.
  [[nodiscard]] static SafetensorsFile parse(std::span<const std::byte> bytes,
                                             const std::string& origin = "memory");

  /// The path, or the `origin` given to `parse`.
  [[nodiscard]] const std::string& origin() const noexcept;

  /// Names of all tensors, in the order of the header.
  [[nodiscard]] const std::vector<std::string>& names() const noexcept;

  /// True when the file has this tensor.
  [[nodiscard]] bool contains(std::string_view name) const noexcept;

  /// Type and shape of one tensor. Throws FormatError when there is none of this name.
  [[nodiscard]] const TensorInfo& info(std::string_view name) const;

  /// The stored little-endian bytes of one tensor, of any alignment. Throws FormatError when there
  /// is none of this name.
  [[nodiscard]] std::span<const std::byte> bytes(std::string_view name) const;

  /// A checksum of 4 KiB of the stored elements, spread over all of them: it changes when a
  /// training went on, and reads next to nothing. Throws FormatError when there is none of this
  /// name.
  [[nodiscard]] std::uint32_t sampled_checksum(std::string_view name) const;

  /// Lets go of the memory that a tensor's bytes take until they are read again. Throws FormatError
  /// when there is none of this name.
  void release(std::string_view name) const;

  /// The free text pairs of the header.
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const noexcept;

  /// Reads a tensor. Stored floats of any width become any float type (rounded to nearest even
  /// through f32), stored integers and booleans any integer type. Throws FormatError for a missing
  /// name, a float asked for as integer or the reverse, or an integer that does not fit.
  template <Element T>
  [[nodiscard]] Tensor<T> read(std::string_view name) const;

  /// The same; throws ShapeError unless the stored shape is `expected`.
  template <Element T>
  [[nodiscard]] Tensor<T> read(std::string_view name, const Shape& expected) const {
    require(name, expected);
    return read<T>(name);
  }

 private:
  struct Contents;
  explicit SafetensorsFile(OwnedPointer<const Contents> contents)
      : contents_(std::move(contents)) {}
  void require(std::string_view name, const Shape& expected) const;

  OwnedPointer<const Contents> contents_;
};

/// @cond
extern template Tensor<float> SafetensorsFile::read(std::string_view) const;
extern template Tensor<double> SafetensorsFile::read(std::string_view) const;
extern template Tensor<bf16> SafetensorsFile::read(std::string_view) const;
extern template Tensor<f16> SafetensorsFile::read(std::string_view) const;
extern template Tensor<std::int64_t> SafetensorsFile::read(std::string_view) const;
extern template Tensor<std::int32_t> SafetensorsFile::read(std::string_view) const;
extern template Tensor<std::uint8_t> SafetensorsFile::read(std::string_view) const;
/// @endcond

/// A tensor to be written.
struct SafetensorsEntry {
  /// Its name in the file.
  std::string name;
  /// Its elements.
  AnyTensor tensor;
  /// Its type in the file; without it, that of the tensor. Floats can be stored as any float type.
  std::optional<DType> stored_as = std::nullopt;
};

/// Writes a safetensors file: tensors in the given order, metadata sorted by key, equal input to
/// equal bytes. Throws ArgumentError for an empty, reserved or repeated name, text that is not
/// UTF-8, or a conversion between integers and floats; FileError when the file cannot be written. A
/// failure leaves no file, and an old one as it was.
void write_safetensors(const std::string& path, std::span<const SafetensorsEntry> entries,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace rae
