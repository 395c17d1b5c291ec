// Base64, for files inside pages and pictures. Source: RFC 4648, section 4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace rae::detail {

/// The bytes in Base64, padded to a multiple of four letters.
[[nodiscard]] inline std::string base64(std::span<const std::byte> bytes) {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t at) {
      return at < bytes.size() ? static_cast<std::uint32_t>(bytes[at]) : 0u;
    };
    const std::uint32_t group = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    for (std::size_t letter = 0; letter < 4; ++letter)
      out += i + letter > bytes.size() ? '=' : kLetters[group >> (18 - 6 * letter) & 63u];
  }
  return out;
}

}  // namespace rae::detail
