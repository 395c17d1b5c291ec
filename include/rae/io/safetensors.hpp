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
#include "rae/io/tensor_reader.hpp"

namespace rae {

/// A safetensors file opened for reading: a TensorReader (see tensor_reader.hpp for its members). A
/// value; copies share the mapping.
///
/// Everything in the header is checked when the file is opened: its size, JSON types, shapes, and
/// that the tensors tile the data exactly (no overlap, no hole, nothing left over). Reading a
/// tensor later can therefore not fail because of a damaged header. A tensor of an element type
/// that is not supported (F8_E4M3, U16), or of more than six extents, is `unreadable`.
class SafetensorsFile {
 public:
  /// Maps and validates a file. Throws FileError when it cannot be opened, FormatError when it is
  /// not a valid safetensors file.
  [[nodiscard]] static SafetensorsFile open(const std::string& path);

  /// Validates a file in memory, which must outlive the object. `origin` names it in messages.
  /// Throws FormatError.
  [[nodiscard]] static SafetensorsFile parse(std::span<const std::byte> bytes,
                                             const std::string& origin = "memory");

  /// The path, or the `origin` given to `parse`. The following members up to `read` are those of
  /// TensorReader.
  [[nodiscard]] const std::string& origin() const noexcept;
  [[nodiscard]] const std::vector<std::string>& names() const noexcept;
  [[nodiscard]] bool contains(std::string_view name) const noexcept;
  [[nodiscard]] const TensorInfo& info(std::string_view name) const;
  [[nodiscard]] std::span<const std::byte> bytes(std::string_view name) const;
  void release(std::string_view name) const;
  [[nodiscard]] std::uint32_t sampled_checksum(std::string_view name) const;
  [[nodiscard]] const UnreadableTensors& unreadable() const noexcept;
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const noexcept;
  template <Element T>
  [[nodiscard]] Tensor<T> read(std::string_view name) const;
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
  /// Its type in the file; absent: that of the tensor. Floats can be stored as any float type.
  std::optional<DType> stored_as = std::nullopt;
};

/// Writes a safetensors file: tensors in the given order, metadata sorted by key; equal input gives
/// equal bytes. Throws ArgumentError for an empty, reserved or repeated name, a string that is not
/// UTF-8, or a conversion between integers and floats; FileError when the file cannot be written. A
/// failure leaves no file, and an existing one stays as it was.
void write_safetensors(const std::string& path, std::span<const SafetensorsEntry> entries,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace rae
