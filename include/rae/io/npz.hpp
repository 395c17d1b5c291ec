// NumPy arrays: .npy files and .npz archives, read and written. Sample batches for the usual FID
// evaluators are .npz files.
//
// Source: NumPy enhancement proposal 1 (the .npy format).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rae/core/owner.hpp"
#include "rae/core/view.hpp"
#include "rae/io/any_tensor.hpp"

namespace rae {

/// Default limit of the bytes of one array of an .npz file: 16 GiB.
inline constexpr std::size_t kMaxNpzBytes = std::size_t{16} << 30;

/// An .npz archive opened for reading: stored or deflated arrays of f64, f32, f16, int64, int32,
/// uint8 or bool (as uint8). A value; copies share the mapping.
class NpzFile {
 public:
  /// Maps the archive and checks its directory. Throws FileError, FormatError.
  [[nodiscard]] static NpzFile open(const std::string& path);
  /// The same for an archive in memory, which must outlive the object; `origin` names it in
  /// messages. Throws FormatError.
  [[nodiscard]] static NpzFile parse(std::span<const std::byte> bytes,
                                     const std::string& origin = "memory");

  /// Names of the arrays, without ".npy".
  [[nodiscard]] const std::vector<std::string>& names() const noexcept;
  /// True when the archive has this array.
  [[nodiscard]] bool contains(std::string_view name) const noexcept;

  /// An array in row-major order. Throws FormatError for a missing name, damaged data, an
  /// unsupported type, or more than `max_bytes`.
  [[nodiscard]] AnyTensor read_any(std::string_view name,
                                   std::size_t max_bytes = kMaxNpzBytes) const;

  /// The same as elements of type T (see `tensor_cast`).
  template <Element T>
  [[nodiscard]] Tensor<T> read(std::string_view name, std::size_t max_bytes = kMaxNpzBytes) const {
    return tensor_cast<T>(read_any(name, max_bytes), where(name));
  }

  /// A view of an array of uint8 in place, valid as long as the mapping; nothing is copied. Absent
  /// when the archive does not have the array, or when it is compressed, of another type or in
  /// Fortran order. Throws FormatError for a wrong header and, with `verify`, for a wrong checksum.
  [[nodiscard]] std::optional<View<const std::uint8_t>> mapped(std::string_view name,
                                                               bool verify = false) const;

  /// A file of the archive that is not an array, such as "settings.json"; absent when there is
  /// none. Throws FormatError for damaged data or more than `max_bytes`.
  [[nodiscard]] std::optional<std::string> text(std::string_view file,
                                                std::size_t max_bytes = std::size_t{1} << 20) const;

 private:
  struct Contents;
  explicit NpzFile(OwnedPointer<const Contents> contents) : contents_(std::move(contents)) {}
  [[nodiscard]] std::string where(std::string_view name) const;

  OwnedPointer<const Contents> contents_;
};

/// Reads an .npy file. Throws FileError, FormatError.
[[nodiscard]] AnyTensor read_npy(const std::string& path);
/// The same from memory; `origin` names it in messages. Throws FormatError.
[[nodiscard]] AnyTensor parse_npy(std::span<const std::byte> bytes,
                                  const std::string& origin = "memory");

/// An array to be written.
struct NpzEntry {
  /// Its name, without ".npy".
  std::string name;
  /// Its elements, of any shape.
  AnyTensor tensor;
};

/// Writes an .npz archive, uncompressed; equal input gives equal bytes. Throws ArgumentError for an
/// empty or repeated name, an empty tensor, or bf16, which NumPy does not have; FileError when it
/// cannot be written. A failure leaves no file.
void write_npz(const std::string& path, std::span<const NpzEntry> entries);

/// Writes one array, named "arr_0", as `numpy.savez(path, array)` does. Throws as above.
void write_npz(const std::string& path, const AnyTensor& array);

}  // namespace rae
