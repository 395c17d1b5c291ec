// Zip archives: the container of .npz and of checkpoints. Memory is allocated for bytes that are in
// the file, never by declared sizes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rae/io/file.hpp"

namespace rae::detail {

/// One file of an archive, from the central directory.
struct ZipEntry {
  std::string name;
  bool deflated = false;
  std::uint32_t crc = 0;
  std::uint64_t size = 0;          // of the decompressed contents, as declared
  std::span<const std::byte> raw;  // the stored bytes, inside the archive
};

/// The directory of an archive in memory.
class ZipReader {
 public:
  /// Throws FormatError for damaged archives, encryption, methods other than stored and deflate,
  /// repeated names, or files that overlap. Zip64 is supported.
  ZipReader(std::span<const std::byte> archive, std::string origin);

  [[nodiscard]] const std::vector<ZipEntry>& entries() const noexcept { return entries_; }
  [[nodiscard]] const ZipEntry* find(std::string_view name) const noexcept;

  /// The decompressed contents. Throws FormatError for a wrong size or checksum, and for more than
  /// `max_bytes`.
  [[nodiscard]] std::vector<std::byte> read(const ZipEntry& entry, std::size_t max_bytes) const;

  /// The contents of a stored file in place; the checksum is not verified. Throws FormatError when
  /// the file is compressed.
  [[nodiscard]] std::span<const std::byte> stored(const ZipEntry& entry) const;

  /// Throws FormatError when `contents` do not have the checksum of the file.
  void require_checksum(const ZipEntry& entry, std::span<const std::byte> contents) const;

 private:
  void read_directory(std::span<const std::byte> directory, std::uint64_t count);
  [[noreturn]] void damaged(std::string_view reason) const;

  std::span<const std::byte> archive_;
  std::string origin_;
  std::vector<ZipEntry> entries_;
};

/// The position and size of a stored (uncompressed) file in an archive.
struct ZipStored {
  std::string name;
  std::uint32_t crc = 0;
  std::uint64_t size = 0;
  std::uint64_t offset = 0;  // of its local header
};

/// The local header, which precedes the contents of a stored file, with a fixed date. With
/// `always_64`, 64-bit sizes are written even where 32 bits would do (for tests).
[[nodiscard]] std::string zip_local_header(const ZipStored& file, bool always_64 = false);

/// The end of an archive: the directory, which begins at `position`, and the end record.
[[nodiscard]] std::string zip_directory(std::span<const ZipStored> files, std::uint64_t position,
                                        bool always_64 = false);

/// Writes an archive of stored (uncompressed) files with a fixed date, so that equal contents give
/// equal bytes.
class ZipWriter {
 public:
  /// Begins an archive. Throws FileError.
  explicit ZipWriter(const std::string& path, bool always_64 = false)
      : file_(path), always_64_(always_64) {}

  /// Adds a file whose contents are the concatenated pieces. Throws FileError.
  void add(const std::string& name, std::initializer_list<std::span<const std::byte>> pieces);

  /// Writes the directory and gives the archive its name. Throws FileError.
  void commit();

 private:
  AtomicFile file_;
  bool always_64_;
  std::uint64_t position_ = 0;
  std::vector<ZipStored> written_;
};

}  // namespace rae::detail
