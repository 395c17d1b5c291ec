// UTF-8, as RFC 3629 defines it.
#pragma once

#include <cstdint>
#include <string_view>

namespace rae::detail {

/// True for a sequence of whole characters in their shortest form, without surrogates.
[[nodiscard]] inline bool is_utf8(std::string_view text) noexcept {
  for (std::size_t at = 0; at < text.size();) {
    const auto first = static_cast<unsigned char>(text[at++]);
    if (first < 0x80) continue;
    const int following = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4) return false;
    std::uint32_t code = first & (0x3fu >> following);
    for (int i = 0; i < following; ++i, ++at) {
      if (at == text.size()) return false;
      const auto next = static_cast<unsigned char>(text[at]);
      if ((next & 0xc0) != 0x80) return false;
      code = code << 6 | (next & 0x3fu);
    }
    if (following == 2 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) return false;
    if (following == 3 && (code < 0x10000 || code > 0x10ffff)) return false;
  }
  return true;
}

}  // namespace rae::detail
