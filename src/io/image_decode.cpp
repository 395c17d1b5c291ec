// PNG, JPEG and BMP through stb_image, which is private to this file. Sizes and completeness are checked first: stb fills what is missing
// from a truncated JPEG or BMP with gray.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>

#include "deflate.hpp"
#include "png.hpp"
#include "rae/io/file.hpp"
#include "rae/io/image.hpp"

namespace {

[[noreturn]] void decoder_assertion_failed() { rae::raise<rae::FormatError>("the picture violates an assumption of its decoder"); }

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
  for (int i = count - 1; i >= 0; --i) out = out << 8 | std::to_integer<std::uint32_t>(bytes[at + static_cast<std::size_t>(i)]);
  return out;
}

/// Checks all checksums, and that the pixels do not inflate to more than they can be: stb checks neither.
void require_sound_png(std::span<const std::byte> bytes, const std::string& origin, index_t width, index_t height) {
  std::vector<std::byte> compressed;
  detail::visit_png_chunks(bytes, origin, [&](std::string_view type, std::span<const std::byte> chunk) {
    if (type == "IDAT") compressed.insert(compressed.end(), chunk.begin(), chunk.end());
  });
  // Four 16-bit samples a pixel, and a filter byte a row, of which interlacing makes up to two for each.
  const auto most = static_cast<std::size_t>(width * height * 8 + 2 * height + 64);
  std::size_t total = 0;
  detail::inflate(compressed, detail::Wrapping::zlib, origin, [&](std::span<const std::byte> piece) {
    total += piece.size();
    if (total > most) raise<FormatError>(origin, ": the PNG holds more data than a picture of ", width, " x ", height, " needs");
    return true;
  });
}

/// A complete JPEG has an end marker after its last scan; entropy-coded data cannot contain either marker.
void require_complete_jpeg(std::span<const std::byte> bytes, const std::string& origin) {
  const auto text = as_text(bytes);
  const auto scan = text.rfind("\xff\xda");
  const auto end = text.rfind("\xff\xd9");
  if (end == std::string_view::npos || (scan != std::string_view::npos && end < scan))
    raise<FormatError>(origin, ": the JPEG has no end marker; is the file truncated?");
}

void require_complete_bmp(std::span<const std::byte> bytes, const std::string& origin, int width, int height) {
  const auto truncated = [&] { raise<FormatError>(origin, ": the BMP is shorter than its picture; is the file truncated?"); };
  if (bytes.size() < 30) truncated();
  const std::uint64_t pixels_at = little_endian(bytes, 10, 4);
  const std::uint64_t bits = little_endian(bytes, little_endian(bytes, 14, 4) == 12 ? 24 : 28, 2);
  const std::uint64_t stride = (static_cast<std::uint64_t>(width) * bits + 31) / 32 * 4;
  if (bytes.size() < pixels_at + stride * static_cast<std::uint64_t>(height)) truncated();
}

}  // namespace

Image Image::decode(std::span<const std::byte> bytes, const std::string& origin) {
  const auto text = as_text(bytes.first(std::min<std::size_t>(bytes.size(), 3)));
  const bool png = detail::is_png(bytes), jpeg = text == "\xff\xd8\xff", bmp = text.substr(0, 2) == "BM";
  if (!png && !jpeg && !bmp) raise<FormatError>(origin, ": neither PNG nor JPEG nor BMP");
  if (bytes.size() > (std::size_t{1} << 30)) raise<FormatError>(origin, ": a picture file above 1 GiB");

  const auto* data = reinterpret_cast<const stbi_uc*>(bytes.data());
  const int size = static_cast<int>(bytes.size());
  int width = 0, height = 0, components = 0;
  const auto failed = [&] {
    const char* reason = stbi_failure_reason();
    raise<FormatError>(origin, ": cannot decode the picture", reason != nullptr ? concat(" (", std::string_view(reason), ")") : "");
  };
  if (stbi_info_from_memory(data, size, &width, &height, &components) == 0) failed();
  if (width < 1 || height < 1 || width > kMaxSide || height > kMaxSide || index_t{width} * height > kMaxPixels)
    raise<FormatError>(origin, ": a picture of ", width, " x ", height, " is too large; the limits are ", kMaxSide, " a side and ",
                       kMaxPixels, " pixels");
  // No format here holds more pixels in a byte than deflate's 1032 : 1 with eight 1-bit pixels.
  if (index_t{width} * height > 8256 * (static_cast<index_t>(bytes.size()) + 64))
    raise<FormatError>(origin, ": ", bytes.size(), " bytes cannot hold a picture of ", width, " x ", height);
  if (png) require_sound_png(bytes, origin, width, height);
  if (jpeg) require_complete_jpeg(bytes, origin);
  if (bmp) require_complete_bmp(bytes, origin, width, height);

  const int channels = components <= 2 ? 1 : 3;
  int decoded_width = 0, decoded_height = 0;
  struct Free {
    void operator()(stbi_uc* pixels) const { stbi_image_free(pixels); }
  };
  const std::unique_ptr<stbi_uc, Free> pixels(stbi_load_from_memory(data, size, &decoded_width, &decoded_height, &components, channels));
  if (!pixels) failed();
  if (decoded_width != width || decoded_height != height) raise<FormatError>(origin, ": the picture contradicts its header");
  Image out(width, height, channels);
  std::memcpy(out.pixels_.data(), pixels.get(), out.pixels_.size());
  return out;
}

Image Image::open(const std::string& path) {
  const MappedFile file(path);
  return decode(file.bytes(), path);
}

}  // namespace rae
