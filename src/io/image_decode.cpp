// PNG, JPEG and BMP through stb_image, which is private to this file. Sizes, tables and
// completeness are checked first, since stb fills the missing part of a truncated JPEG or BMP with
// gray and trusts the tables of a JPEG.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include "deflate.hpp"
#include "png.hpp"
#include "rae/io/file.hpp"
#include "rae/io/image.hpp"
#include "rae/io/placeholder.hpp"

namespace {

[[noreturn]] void decoder_assertion_failed() {
  rae::raise<rae::FormatError>("the picture violates an assumption of its decoder");
}

}  // namespace

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
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
#include <stb/stb_image.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

namespace rae {
namespace {

std::uint32_t little_endian(std::span<const std::byte> bytes, std::size_t at, int count) {
  std::uint32_t out = 0;
  for (int i = count - 1; i >= 0; --i)
    out = out << 8 | std::to_integer<std::uint32_t>(bytes[at + static_cast<std::size_t>(i)]);
  return out;
}

/// Checks all checksums, and that the decompressed data are not larger than the pixels can be; stb
/// checks neither.
void require_sound_png(std::span<const std::byte> bytes, const std::string& origin, index_t width,
                       index_t height) {
  std::vector<std::byte> compressed;
  detail::visit_png_chunks(bytes, origin,
                           [&](std::string_view type, std::span<const std::byte> chunk) {
                             if (type == "IDAT")
                               compressed.insert(compressed.end(), chunk.begin(), chunk.end());
                           });
  // At most four 16-bit samples per pixel and one filter byte per row; interlacing at most doubles
  // the number of rows.
  const auto most = static_cast<std::size_t>(width * height * 8 + 2 * height + 64);
  std::size_t total = 0;
  detail::inflate(compressed, detail::Wrapping::zlib, origin,
                  [&](std::span<const std::byte> piece) {
                    total += piece.size();
                    if (total > most)
                      raise<FormatError>(origin, ": the PNG contains more data than a picture of ",
                                         width, " x ", height, " needs");
                    return true;
                  });
}

/// Throws FormatError unless a DHT segment consists of whole Huffman tables with at most 256 codes
/// each; otherwise stb would read beyond the segment and write beyond its table.
void require_sound_huffman_tables(std::span<const std::byte> tables, const std::string& origin) {
  constexpr std::size_t kCounts = 17;  // a byte of class and number, then 16 counts
  while (!tables.empty()) {
    std::size_t codes = 0;
    for (std::size_t i = 1; i < std::min(kCounts, tables.size()); ++i)
      codes += std::to_integer<std::size_t>(tables[i]);
    if (tables.size() < kCounts || codes > 256 || codes > tables.size() - kCounts)
      raise<FormatError>(origin, ": a damaged Huffman table in the JPEG");
    tables = tables.subspan(kCounts + codes);
  }
}

/// A copy of a JPEG up to its end marker, without comments and application data other than JFIF and
/// Adobe. Throws FormatError when the segments do not lead to an end marker.
std::vector<std::byte> sound_jpeg(std::span<const std::byte> bytes, const std::string& origin) {
  std::vector<std::byte> out(bytes.begin(), bytes.begin() + 2);
  std::size_t at = 2;
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

void require_complete_bmp(std::span<const std::byte> bytes, const std::string& origin, int width,
                          int height) {
  const auto truncated = [&] {
    raise<FormatError>(origin,
                       ": the BMP has fewer bytes than its picture; is the file truncated?");
  };
  if (bytes.size() < 30) truncated();
  const std::uint64_t pixels_at = little_endian(bytes, 10, 4);
  const std::uint64_t bits = little_endian(bytes, little_endian(bytes, 14, 4) == 12 ? 24 : 28, 2);
  const std::uint64_t stride = (static_cast<std::uint64_t>(width) * bits + 31) / 32 * 4;
  if (bytes.size() < pixels_at + stride * static_cast<std::uint64_t>(height)) truncated();
}

}  // namespace

Image Image::decode(std::span<const std::byte> bytes, const std::string& origin) {
  require_no_placeholder(bytes, origin);
  const auto text = as_text(bytes.first(std::min<std::size_t>(bytes.size(), 3)));
  const bool png = detail::is_png(bytes), jpeg = text == "\xff\xd8\xff",
             bmp = text.substr(0, 2) == "BM";
  if (!png && !jpeg && !bmp) raise<FormatError>(origin, ": neither PNG nor JPEG nor BMP");
  if (bytes.size() > (std::size_t{1} << 30))
    raise<FormatError>(origin, ": a picture file of more than 1 GiB");

  std::vector<std::byte> sound;
  if (jpeg) bytes = sound = sound_jpeg(bytes, origin);
  const auto* data = reinterpret_cast<const stbi_uc*>(bytes.data());
  const int size = static_cast<int>(bytes.size());
  int width = 0, height = 0, components = 0;
  const auto failed = [&] {
    const char* reason = stbi_failure_reason();
    raise<FormatError>(origin, ": cannot decode the picture",
                       reason != nullptr ? concat(" (", std::string_view(reason), ")") : "");
  };
  if (stbi_info_from_memory(data, size, &width, &height, &components) == 0) failed();
  if (width < 1 || height < 1 || width > kMaxSide || height > kMaxSide ||
      index_t{width} * height > kMaxPixels)
    raise<FormatError>(origin, ": a picture of ", width, " x ", height,
                       " is too large; the limits are ", kMaxSide, " on a side and ", kMaxPixels,
                       " pixels");
  // The densest format is 1-bit pixels in PNG: deflate compresses at most 1032 : 1, and 8 * 1032 =
  // 8256 pixels per byte.
  if (index_t{width} * height > 8256 * (static_cast<index_t>(bytes.size()) + 64))
    raise<FormatError>(origin, ": ", bytes.size(), " bytes are too few for a picture of ", width,
                       " x ", height);
  if (png) require_sound_png(bytes, origin, width, height);
  if (bmp) require_complete_bmp(bytes, origin, width, height);

  const int channels = components <= 2 ? 1 : 3;
  int decoded_width = 0, decoded_height = 0;
  struct Free {
    void operator()(stbi_uc* pixels) const { stbi_image_free(pixels); }
  };
  const std::unique_ptr<stbi_uc, Free> pixels(
      stbi_load_from_memory(data, size, &decoded_width, &decoded_height, &components, channels));
  if (!pixels) failed();
  if (decoded_width != width || decoded_height != height)
    raise<FormatError>(origin, ": the picture contradicts its header");
  Image out(width, height, channels);
  std::memcpy(out.pixels_.data(), pixels.get(), out.pixels_.size());
  return out;
}

Image Image::open(const std::string& path) {
  const MappedFile file(path);
  return decode(file.bytes(), path);
}

}  // namespace rae
