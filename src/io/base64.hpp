// Base64, for files inside pages and pictures. Source: RFC 4648, section 4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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

/// The reverse of `base64`. Absent for other letters, a length that is not a multiple of four,
/// padding elsewhere than at the end, and bits that are not zero after the last byte.
[[nodiscard]] inline std::optional<std::vector<std::byte>> parse_base64(std::string_view text) {
  const auto value_of = [](char letter) -> std::uint32_t {
    if (letter >= 'A' && letter <= 'Z') return static_cast<std::uint32_t>(letter - 'A');
    if (letter >= 'a' && letter <= 'z') return static_cast<std::uint32_t>(letter - 'a') + 26;
    if (letter >= '0' && letter <= '9') return static_cast<std::uint32_t>(letter - '0') + 52;
    return letter == '+' ? 62u : letter == '/' ? 63u : 64u;
  };
  if (text.size() % 4 != 0) return std::nullopt;
  std::vector<std::byte> out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    const std::size_t letters = !last || text[i + 3] != '=' ? 4 : text[i + 2] != '=' ? 3 : 2;
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      const std::uint32_t value = j < letters ? value_of(text[i + j]) : 0u;
      if (value > 63) return std::nullopt;
      group = group << 6 | value;
    }
    for (std::size_t j = 0; j + 1 < letters; ++j)
      out.push_back(static_cast<std::byte>(group >> (16 - 8 * j) & 255u));
    if ((group & ((1u << (8 * (4 - letters))) - 1)) != 0) return std::nullopt;
  }
  return out;
}

}  // namespace rae::detail
