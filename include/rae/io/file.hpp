// Files: memory-mapped reading, bounded reading, and writing that leaves either the whole file or
// none.
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
/// Another process that shortens the file meanwhile makes later reads of the lost part fatal, as
/// with every memory mapping.
class MappedFile {
 public:
  /// Maps nothing; `bytes()` is empty.
  MappedFile() = default;

  /// Maps the whole of a regular file; an empty file gives an empty span. Throws FileError.
  explicit MappedFile(const std::string& path);

  /// Takes the mapping; `other` maps nothing.
  MappedFile(MappedFile&& other) noexcept;
  /// Exchanges the mappings.
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  /// The contents of the file.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }

  /// Lets go of the memory that a part of the file takes once it was read; reading it again fetches
  /// it again. Bytes of anything else than this mapping stay as they are.
  void release(std::span<const std::byte> part) const noexcept;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Writes a file that appears under its name only when it is complete.
///
/// The bytes go to a temporary name in the same folder; `commit()` flushes them to the disk and
/// renames. Without a commit (an exception on the way) the destructor removes the temporary and the
/// old file, if there was one, stays as it was. A symbolic link is followed. Devices and pipes
/// cannot be replaced, so an existing one is written directly.
class AtomicFile {
 public:
  /// Creates the temporary. Throws FileError when the folder does not exist or cannot be written.
  explicit AtomicFile(const std::string& path);

  /// Takes the unfinished file; `other` can no longer write.
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  /// Appends. Throws FileError when the disk is full or the device fails; nothing is committed
  /// then.
  void write(std::span<const std::byte> bytes);
  /// Appends text.
  void write(std::string_view text);

  /// Flushes to the disk and gives the file its name. Call it once, last. Throws FileError.
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

/// Largest file that `read_file` takes unless told otherwise: 1 GiB.
inline constexpr std::size_t kMaxFileBytes = std::size_t{1} << 30;

/// Reads a whole file (or pipe). Throws FileError when it cannot be read or holds more than
/// `max_bytes`; stops reading there.
[[nodiscard]] std::vector<std::byte> read_file(const std::string& path,
                                               std::size_t max_bytes = kMaxFileBytes);

/// Writes a whole file at once with AtomicFile. Throws FileError.
void write_file_atomically(const std::string& path, std::span<const std::byte> bytes);
/// The same for text.
void write_file_atomically(const std::string& path, std::string_view text);

/// Bytes read as text, and text as bytes; nothing is copied.
[[nodiscard]] inline std::string_view as_text(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
/// Text read as bytes; nothing is copied.
[[nodiscard]] inline std::span<const std::byte> as_byte_span(std::string_view text) noexcept {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

}  // namespace rae
