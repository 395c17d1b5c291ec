// Files: memory-mapped reading, reading up to a limit, and writing that leaves either the whole
// file or none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rae/error.hpp"

namespace rae {

/// A file mapped into memory for reading. Movable, not copyable; the mapping ends with the object.
///
/// If another process shortens the file in the meantime, reading the lost part ends the program
/// with a signal, as with every memory mapping.
class MappedFile {
 public:
  /// No file; `bytes()` is empty.
  MappedFile() = default;

  /// Maps the whole of a regular file; an empty file gives an empty span. Throws FileError.
  explicit MappedFile(const std::string& path);

  /// Takes the mapping; `other` is then without a file.
  MappedFile(MappedFile&& other) noexcept;
  /// Exchanges the mappings.
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  /// The contents of the file.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }

  /// Releases the memory that a part of the file occupies after it was read; the next access reads
  /// it from the disk again. Does nothing for bytes outside this mapping.
  void release(std::span<const std::byte> part) const noexcept;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Writes a file that appears under its name only when it is complete.
///
/// The bytes are written to a temporary file in the same folder; `commit()` flushes it to the disk
/// and renames it. Without a commit (after an exception, for example) the destructor removes the
/// temporary file, and an existing file of this name stays as it was. A file that is replaced
/// passes on its permission bits and, where the system allows it, its owner and group. Symbolic
/// links are followed, dangling ones too: their file is replaced and the link stays. Other hard
/// links of a file keep its old contents. Devices and pipes cannot be replaced, so they are written
/// directly.
///
/// The temporary file is named "NAME.tmp-PROCESS-COUNT". A process that is killed leaves it behind;
/// see `remove_orphaned_temporaries`.
class AtomicFile {
 public:
  /// Creates the temporary file. Throws FileError when the folder does not exist or cannot be
  /// written.
  explicit AtomicFile(const std::string& path);

  /// Takes the unfinished file; `other` can no longer write.
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  /// Appends bytes. Throws FileError when the disk is full or the device fails; the file can then
  /// no longer be committed.
  void write(std::span<const std::byte> bytes);
  /// Appends the bytes of a string. Throws as the other `write`.
  void write(std::string_view text);

  /// Flushes to the disk and gives the file its name. Call it once, after the last `write`. Throws
  /// FileError.
  void commit();

  /// The name that the file will have.
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  void discard() noexcept;

  std::string path_;
  std::string target_;
  std::string temporary_;
  int descriptor_ = -1;
};

/// Removes the temporary files of AtomicFile in a folder whose processes no longer exist, all or
/// only those for the file `name`; returns their paths. Files that cannot be removed stay.
std::vector<std::string> remove_orphaned_temporaries(const std::string& folder,
                                                     std::string_view name = {});

/// Default limit of `read_file`: 1 GiB.
inline constexpr std::size_t kMaxFileBytes = std::size_t{1} << 30;

/// Reads a whole file (or pipe). Throws FileError when it cannot be read, and as soon as it has
/// more than `max_bytes`.
[[nodiscard]] std::vector<std::byte> read_file(const std::string& path,
                                               std::size_t max_bytes = kMaxFileBytes);

/// Writes a whole file at once with AtomicFile. Throws FileError.
void write_file_atomically(const std::string& path, std::span<const std::byte> bytes);
/// The same for a string.
void write_file_atomically(const std::string& path, std::string_view text);

/// A view of bytes as characters; nothing is copied.
[[nodiscard]] inline std::string_view as_text(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
/// A view of characters as bytes; nothing is copied.
[[nodiscard]] inline std::span<const std::byte> as_byte_span(std::string_view text) noexcept {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

}  // namespace rae
