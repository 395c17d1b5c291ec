// Integers of files, stored with the lowest or with the highest byte first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace rae::detail {

/// The unsigned integer in `count` (1 to 4) bytes from `at` on, lowest byte first.
[[nodiscard]] inline std::uint32_t little_endian(std::span<const std::byte> bytes, std::size_t at,
                                                 std::size_t count) noexcept {
  std::uint32_t out = 0;
  for (std::size_t i = count; i-- > 0;)
    out = out << 8 | std::to_integer<std::uint32_t>(bytes[at + i]);
  return out;
}

/// The same, highest byte first.
[[nodiscard]] inline std::uint32_t big_endian(std::span<const std::byte> bytes, std::size_t at,
                                              std::size_t count) noexcept {
  std::uint32_t out = 0;
  for (std::size_t i = 0; i < count; ++i)
    out = out << 8 | std::to_integer<std::uint32_t>(bytes[at + i]);
  return out;
}

}  // namespace rae::detail
