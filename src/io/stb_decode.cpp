// PNG and JPEG through stb_image, which is private to this file. Checksums, tables and completeness
// are checked first, since stb fills the missing part of a truncated JPEG with gray and trusts the
// tables of a JPEG.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include "deflate.hpp"
#include "picture_decoders.hpp"
#include "png.hpp"
#include "rae/io/file.hpp"

namespace {

[[noreturn]] void decoder_assertion_failed() {
  rae::raise<rae::FormatError>("the picture violates an assumption of its decoder");
}

}  // namespace

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MAX_DIMENSIONS 16384
// Zeroed memory: stb uses its tables without initialising them when a file defines none.
#define STBI_MALLOC(size) std::calloc(1, size)
#define STBI_REALLOC(pointer, size) std::realloc(pointer, size)
#define STBI_FREE(pointer) std::free(pointer)
#define STBI_ASSERT(condition) ((condition) ? static_cast<void>(0) : decoder_assertion_failed())
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
#if defined(__clang__)
// At the end of damaged data, stb shifts a zero by more bits than it has; any result is zero.
#pragma clang attribute push(__attribute__((no_sanitize("shift"))), apply_to = function)
#endif
#include <stb/stb_image.h>
#if defined(__clang__)
#pragma clang attribute pop
#endif
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

namespace rae::detail {
namespace {

/// Checks all checksums, and that the decompressed data are not larger than the pixels can be; stb
/// checks neither.
void require_sound_png(std::span<const std::byte> bytes, const std::string& origin, index_t width,
                       index_t height) {
  std::vector<std::byte> compressed;
  visit_png_chunks(bytes, origin, [&](std::string_view type, std::span<const std::byte> chunk) {
    if (type == "IDAT") compressed.insert(compressed.end(), chunk.begin(), chunk.end());
  });
  // At most four 16-bit samples per pixel and one filter byte per row; interlacing at most doubles
  // the number of rows.
  const auto most = static_cast<std::size_t>(width * height * 8 + 2 * height + 64);
  std::size_t total = 0;
  inflate(compressed, Wrapping::zlib, origin, [&](std::span<const std::byte> piece) {
    total += piece.size();
    if (total > most)
      raise<FormatError>(origin, ": the PNG contains more data than a picture of ", width, " x ",
                         height, " needs");
    return true;
  });
}

/// Throws FormatError unless a DHT segment consists of whole Huffman tables with at most 256 codes
/// each and possible symbols; otherwise stb would read beyond the segment and write beyond its
/// table.
void require_sound_huffman_tables(std::span<const std::byte> tables, const std::string& origin) {
  constexpr std::size_t kCounts = 17;  // a byte of class and number, then 16 counts
  while (!tables.empty()) {
    std::size_t codes = 0;
    for (std::size_t i = 1; i < std::min(kCounts, tables.size()); ++i)
      codes += std::to_integer<std::size_t>(tables[i]);
    if (tables.size() < kCounts || codes > 256 || codes > tables.size() - kCounts)
      raise<FormatError>(origin, ": a damaged Huffman table in the JPEG");
    // The symbols of a DC table (class 0) are numbers of bits, by which stb shifts unchecked.
    const bool dc = std::to_integer<unsigned>(tables[0]) < 16;
    const auto symbols = tables.subspan(kCounts, codes);
    if (dc && std::any_of(symbols.begin(), symbols.end(),
                          [](std::byte bits) { return bits > std::byte{15}; }))
      raise<FormatError>(origin, ": a damaged Huffman table in the JPEG");
    tables = tables.subspan(kCounts + codes);
  }
}

/// A copy of a JPEG up to its end marker, without comments and application data other than JFIF and
/// Adobe. Throws FormatError when the segments do not lead to an end marker.
std::vector<std::byte> sound_jpeg(std::span<const std::byte> bytes, const std::string& origin) {
  std::vector<std::byte> out(bytes.begin(), bytes.begin() + 2);
  std::size_t at = 2;
  bool inks = false, adobe = false;
  const auto byte_at = [&](std::size_t i) -> unsigned {
    if (i >= bytes.size())
      raise<FormatError>(origin, ": the JPEG ends without its end marker; is the file truncated?");
    return std::to_integer<unsigned>(bytes[i]);
  };
  // In entropy-coded data 0xff is followed by 0 or a restart marker; other pairs begin a segment.
  const auto is_marker = [](unsigned code) {
    return code > 1 && code < 0xff && (code < 0xd0 || code > 0xd7);
  };
  for (;;) {
    while (byte_at(at) != 0xff || !is_marker(byte_at(at + 1))) ++at;
    const unsigned marker = byte_at(at + 1);
    out.insert(out.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at),
               bytes.begin() + static_cast<std::ptrdiff_t>(at) + 2);
    at += 2;
    if (marker == 0xd9) return out;
    const std::size_t length = byte_at(at) << 8 | byte_at(at + 1);
    if (length < 2) raise<FormatError>(origin, ": a damaged segment in the JPEG");
    (void)byte_at(at + length - 1);
    const auto segment = bytes.subspan(at, length);
    at += length;
    // Frames of baseline, extended and progressive JPEG; the number of components is byte 7.
    if (marker >= 0xc0 && marker <= 0xc2 && length > 7) inks = segment[7] == std::byte{4};
    if (marker == 0xee && as_text(segment.subspan(2)).starts_with("Adobe")) adobe = true;
    if (marker == 0xda && inks && !adobe)
      raise<FormatError>(origin, ": a CMYK JPEG without the marker of Adobe, which only ",
                         "libjpeg-turbo reads; this decoder is stb_image");
    if (marker == 0xc4) require_sound_huffman_tables(segment.subspan(2), origin);
    if (marker == 0xfe || (marker >= 0xe1 && marker <= 0xef && marker != 0xee)) {
      // Exif, profiles and comments may be large, have any contents, and are of no use here.
      out.resize(out.size() - 2);
      continue;
    }
    out.insert(out.end(), segment.begin(), segment.end());
    if (marker != 0xda) continue;
    const std::size_t scan = at;
    while (byte_at(at) != 0xff || !is_marker(byte_at(at + 1))) ++at;
    out.insert(out.end(), bytes.begin() + static_cast<std::ptrdiff_t>(scan),
               bytes.begin() + static_cast<std::ptrdiff_t>(at));
  }
}

}  // namespace

Image decode_by_stb(std::span<const std::byte> bytes, const ImageInfo& stored,
                    const std::string& origin) {
  std::vector<std::byte> sound;
  if (stored.format == ImageFormat::jpeg) bytes = sound = sound_jpeg(bytes, origin);
  if (stored.format == ImageFormat::png)
    require_sound_png(bytes, origin, stored.width, stored.height);
  int width = 0, height = 0, components = 0;
  struct Free {
    void operator()(stbi_uc* pixels) const { stbi_image_free(pixels); }
  };
  const std::unique_ptr<stbi_uc, Free> pixels(stbi_load_from_memory(
      reinterpret_cast<const stbi_uc*>(bytes.data()), static_cast<int>(bytes.size()), &width,
      &height, &components, stored.channels));
  if (!pixels) {
    const char* reason = stbi_failure_reason();
    raise<FormatError>(origin, ": cannot decode the picture",
                       reason != nullptr ? concat(" (", std::string_view(reason), ")") : "");
  }
  if (width != stored.width || height != stored.height)
    raise<FormatError>(origin, ": the picture contradicts its header");
  Image out(stored.width, stored.height, stored.channels);
  std::memcpy(out.pixels().data(), pixels.get(), out.pixels().size());
  return out;
}

}  // namespace rae::detail
