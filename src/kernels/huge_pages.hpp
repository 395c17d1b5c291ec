// Huge pages of 2 MB for large blocks of memory, where the system offers them: reading a large
// matrix takes an address translation for each page.
#pragma once

#include <cstdint>
#include <span>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace rae::detail {

/// Requests huge pages for a block that has not been written to yet. Affects only speed.
inline void prefer_huge_pages([[maybe_unused]] std::span<std::uint8_t> block) noexcept {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  // Only for whole huge pages inside of the block; a failure is harmless.
  constexpr std::uintptr_t kPage = std::uintptr_t{1} << 21;
  const auto address = reinterpret_cast<std::uintptr_t>(block.data()),
             begin = (address + kPage - 1) / kPage * kPage;
  const std::uintptr_t end = (address + block.size()) / kPage * kPage;
  if (begin < end) (void)::madvise(block.data() + (begin - address), end - begin, MADV_HUGEPAGE);
#endif
}

}  // namespace rae::detail
