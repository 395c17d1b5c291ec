// Pointers of git-lfs: short text files with a size and a checksum, in place of files whose
// contents were not downloaded.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "rae/io/file.hpp"

namespace rae::detail {

/// Throws FormatError, with a hint how to get the contents, when these are the bytes of a git-lfs
/// pointer. Source: specification of git-lfs, version 1.
inline void require_no_lfs_pointer(std::span<const std::byte> bytes, const std::string& origin) {
  constexpr std::string_view kBegin = "version https://git-lfs";
  constexpr std::size_t kMaxPointer = 1024;
  std::string_view text = as_text(bytes);
  if (!text.starts_with(kBegin) || text.size() > kMaxPointer) return;
  std::uint64_t size = 0;
  if (const auto at = text.find("\nsize "); at != std::string_view::npos) {
    text.remove_prefix(at + 6);
    std::from_chars(text.data(), text.data() + text.size(), size);
  }
  raise<FormatError>(origin, ": is a git-lfs pointer to a file of ", size,
                     " bytes, not the file itself; run 'git lfs pull' in its repository, or "
                     "download the file");
}

}  // namespace rae::detail
