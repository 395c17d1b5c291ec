// Zip archives: the container of .npz and of checkpoints. Reading is bounded by the bytes that are
// there, never by declared sizes.
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
  std::uint64_t size = 0;          // declared, decompressed
  std::span<const std::byte> raw;  // as stored, inside the archive
};

/// The table of an archive that lies in memory.
class ZipReader {
 public:
  /// Throws FormatError for damaged archives, encryption, methods other than stored and deflate,
  /// repeated names, or files that overlap. Zip64 is understood.
  ZipReader(std::span<const std::byte> archive, std::string origin);

  [[nodiscard]] const std::vector<ZipEntry>& entries() const noexcept { return entries_; }
  [[nodiscard]] const ZipEntry* find(std::string_view name) const noexcept;

  /// The contents, decompressed, with size and checksum verified. Throws FormatError, also above
  /// `max_bytes`.
  [[nodiscard]] std::vector<std::byte> read(const ZipEntry& entry, std::size_t max_bytes) const;

  /// The contents of a stored file where they lie; its checksum is not verified. Throws FormatError
  /// when the file is compressed.
  [[nodiscard]] std::span<const std::byte> stored(const ZipEntry& entry) const;

  /// Throws FormatError when bytes do not have the checksum of a file.
  void require_checksum(const ZipEntry& entry, std::span<const std::byte> contents) const;

 private:
  void read_directory(std::span<const std::byte> directory, std::uint64_t count);
  [[noreturn]] void damaged(std::string_view what) const;

  std::span<const std::byte> archive_;
  std::string origin_;
  std::vector<ZipEntry> entries_;
};

/// A stored (uncompressed) file as it lies in an archive.
struct ZipStored {
  std::string name;
  std::uint32_t crc = 0;
  std::uint64_t size = 0;
  std::uint64_t offset = 0;  // of its local header
};

/// What stands before the contents of a stored file, with a fixed date. With `always_64`, 64-bit
/// sizes are written even where 32 bits would do (for tests).
[[nodiscard]] std::string zip_local_header(const ZipStored& file, bool always_64 = false);

/// What ends an archive: the directory, which begins at `position`, and the end record.
[[nodiscard]] std::string zip_directory(std::span<const ZipStored> files, std::uint64_t position,
                                        bool always_64 = false);

/// Place of the checksum in a local header.
inline constexpr std::uint64_t kZipCrcOffset = 14;

/// Writes an archive of stored (uncompressed) files with a fixed date, so that equal contents give
/// equal bytes.
class ZipWriter {
 public:
  /// Throws FileError.
  explicit ZipWriter(const std::string& path, bool always_64 = false)
      : file_(path), always_64_(always_64) {}

  /// Adds a file made of consecutive pieces.
  void add(const std::string& name, std::initializer_list<std::span<const std::byte>> pieces);

  /// Writes the directory and gives the archive its name.
  void commit();

 private:
  AtomicFile file_;
  bool always_64_;
  std::uint64_t position_ = 0;
  std::vector<ZipStored> written_;
};

}  // namespace rae::detail
