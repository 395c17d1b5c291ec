// IDX files made in memory, for tests without a data set.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "io/deflate.hpp"
#include "rae/io/file.hpp"

namespace rae::test {

inline std::string big_endian(std::uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
  return out;
}

/// A file of `count` pictures, whose samples count up from 0.
inline std::string idx_images(std::uint32_t count, std::uint32_t rows, std::uint32_t columns) {
  std::string out = big_endian(0x0803) + big_endian(count) + big_endian(rows) + big_endian(columns);
  for (std::uint32_t i = 0; i < count * rows * columns; ++i) out += static_cast<char>(i & 0xff);
  return out;
}

inline std::string idx_labels(std::initializer_list<int> labels) {
  std::string out = big_endian(0x0801) + big_endian(static_cast<std::uint32_t>(labels.size()));
  for (const int label : labels) out += static_cast<char>(label);
  return out;
}

inline std::string gzip(std::string_view text) {
  return std::string(as_text(detail::deflate_all(as_byte_span(text), detail::Wrapping::gzip)));
}

}  // namespace rae::test
