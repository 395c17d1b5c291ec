// BMP: the header and the pixels.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "rae/io/image.hpp"

namespace rae::detail {

/// The properties of a BMP file. Positions are relative to the start of the file.
struct BmpHeader {
  index_t width = 0, height = 0;
  bool top_down = false;                    ///< the first row is stored first, not last
  int bits = 0;                             ///< per pixel: 1, 2, 4, 8, 16, 24 or 32
  std::array<std::uint32_t, 4> masks = {};  ///< of red, green, blue and alpha, for 16 and 32 bits
  std::size_t palette_at = 0;
  std::size_t palette_size = 0;  ///< colours, for 1 to 8 bits
  std::size_t color_bytes = 4;   ///< bytes of a colour of the palette: 3 or 4
  std::size_t pixels_at = 0;

  /// Bytes of a stored row.
  [[nodiscard]] std::size_t stride() const noexcept {
    return (static_cast<std::size_t>(width) * static_cast<std::size_t>(bits) + 31) / 32 * 4;
  }
};

/// Reads the header of a BMP file (also of OS/2). Throws FormatError for a broken one, and for
/// compressed pixels.
[[nodiscard]] BmpHeader parse_bmp_header(std::span<const std::byte> bytes,
                                         const std::string& origin);

/// Throws FormatError when the file has fewer bytes than its palette and its pixels need.
void require_complete_bmp(std::span<const std::byte> bytes, const BmpHeader& header,
                          const std::string& origin);

/// Decodes the pixels as RGB. Throws FormatError.
[[nodiscard]] Image decode_bmp(std::span<const std::byte> bytes, const std::string& origin);

}  // namespace rae::detail
