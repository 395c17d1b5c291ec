// BMP without compression: palettes of 1 to 8 bits, and colours of 16, 24 and 32 bits. Source: the
// structures BITMAPCOREHEADER, BITMAPINFOHEADER and BITMAPV5HEADER of Windows GDI.
#include "bmp.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "byte_order.hpp"

namespace rae::detail {
namespace {

constexpr std::size_t kFileHeader = 14;

/// The way in which the pixels are stored ("compression"), as a number in the header.
enum BmpStorage : std::uint32_t { bmp_plain = 0, bmp_masks = 3, bmp_alpha_masks = 6 };

/// Reads the masks of a picture with 16 or 32 bits, or fills in the usual ones.
void set_bmp_masks(BmpHeader& header, std::span<const std::byte> bytes, std::size_t header_size,
                   std::uint32_t storage, const std::string& origin) {
  constexpr std::size_t kMasksAt = kFileHeader + 40;
  if (storage == bmp_plain) {
    header.masks = header.bits == 16 ? std::array<std::uint32_t, 4>{0x7c00, 0x03e0, 0x001f, 0}
                                     : std::array<std::uint32_t, 4>{0xff0000, 0xff00, 0xff, 0};
    return;
  }
  // In a header of 40 bytes, the masks follow the header.
  const bool alpha = header_size >= 56 || (header_size == 40 && storage == bmp_alpha_masks);
  const std::size_t count = alpha ? 4 : 3;
  if (bytes.size() < kMasksAt + 4 * count)
    raise<FormatError>(origin, ": the header of the BMP is incomplete; is the file truncated?");
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t mask = little_endian(bytes, kMasksAt + 4 * i, 4);
    // A mask is one run of bits within the pixel.
    const int zeros = std::countr_zero(mask);
    const bool run = mask == 0 || std::countr_one(mask >> zeros) == std::popcount(mask);
    if (!run || (header.bits == 16 && mask > 0xffff) || (i < 3 && mask == 0))
      raise<FormatError>(origin, ": a damaged colour mask in the BMP");
    header.masks[i] = mask;
  }
  if (header_size == 40) header.palette_at += 4 * count;
}

/// The bits of a mask in a pixel as 0 .. 255, rounded down.
std::uint8_t masked_sample(std::uint32_t pixel, std::uint32_t mask) {
  const int zeros = std::countr_zero(mask);
  const std::uint64_t most = mask >> zeros, value = (pixel & mask) >> zeros;
  return static_cast<std::uint8_t>(value * 255 / most);
}

}  // namespace

BmpHeader parse_bmp_header(std::span<const std::byte> bytes, const std::string& origin) {
  constexpr std::size_t kCore = 12;  // OS/2 1.x: 16-bit sizes, three bytes per colour
  constexpr std::size_t kSizes[] = {kCore, 16, 40, 52, 56, 64, 108, 124};
  const auto incomplete = [&] {
    raise<FormatError>(origin, ": the header of the BMP is incomplete; is the file truncated?");
  };
  if (bytes.size() < kFileHeader + 4) incomplete();
  const std::size_t size = little_endian(bytes, kFileHeader, 4);
  if (std::find(std::begin(kSizes), std::end(kSizes), size) == std::end(kSizes))
    raise<FormatError>(origin, ": a BMP header of ", size,
                       " bytes; expected 12, 16, 40, 52, 56, 64, 108 or 124");
  if (bytes.size() < kFileHeader + size) incomplete();

  BmpHeader out;
  const std::size_t number = size == kCore ? 2 : 4;  // bytes of width and height
  const std::size_t planes_at = kFileHeader + 4 + 2 * number;
  out.width = little_endian(bytes, kFileHeader + 4, number);
  out.height = little_endian(bytes, kFileHeader + 4 + number, number);
  if (size != kCore) {
    out.width = static_cast<std::int32_t>(out.width);
    out.height = static_cast<std::int32_t>(out.height);
    out.top_down = out.height < 0;
    out.height = std::abs(out.height);
  }
  out.bits = static_cast<int>(little_endian(bytes, planes_at + 2, 2));
  const std::uint32_t storage = size > 16 ? little_endian(bytes, planes_at + 4, 4) : 0u;
  const std::uint32_t colors = size > 16 ? little_endian(bytes, kFileHeader + 32, 4) : 0u;
  if (little_endian(bytes, planes_at, 2) != 1)
    raise<FormatError>(origin, ": a damaged header in the BMP");
  if (storage == 1 || storage == 2)
    raise<FormatError>(origin, ": a BMP with run-length compression (RLE) cannot be read; ",
                       "save the picture without compression, or as PNG");
  // 4 and 5 are whole JPEG and PNG files; OS/2 uses 3 and 4 for other compressions.
  const bool masked = storage == bmp_masks || storage == bmp_alpha_masks;
  if ((storage != bmp_plain && !masked) || (masked && size == 64) ||
      (masked && out.bits != 16 && out.bits != 32))
    raise<FormatError>(origin, ": a BMP with compression ", storage, " and ", out.bits,
                       " bits per pixel cannot be read; save the picture as PNG");
  constexpr int kDepths[] = {1, 2, 4, 8, 16, 24, 32};
  if (std::find(std::begin(kDepths), std::end(kDepths), out.bits) == std::end(kDepths))
    raise<FormatError>(origin, ": a BMP with ", out.bits, " bits per pixel; expected 1, 2, 4, 8, ",
                       "16, 24 or 32");

  out.palette_at = kFileHeader + size;
  out.color_bytes = size == kCore ? 3 : 4;
  out.pixels_at = little_endian(bytes, 10, 4);
  if (out.bits == 16 || out.bits == 32) set_bmp_masks(out, bytes, size, storage, origin);
  if (out.bits <= 8) {
    const std::size_t most = std::size_t{1} << out.bits;
    out.palette_size = colors == 0 ? most : std::min<std::size_t>(colors, most);
    // Some writers store fewer colours than the header declares: the pixels end the palette.
    if (out.pixels_at > out.palette_at)
      out.palette_size =
          std::min(out.palette_size, (out.pixels_at - out.palette_at) / out.color_bytes);
    if (out.palette_size == 0) raise<FormatError>(origin, ": a BMP without its palette");
  }
  if (out.pixels_at < out.palette_at + out.palette_size * out.color_bytes)
    raise<FormatError>(origin, ": the pixels of the BMP overlap its header");
  return out;
}

void require_complete_bmp(std::span<const std::byte> bytes, const BmpHeader& header,
                          const std::string& origin) {
  const std::size_t needed =
      header.pixels_at + header.stride() * static_cast<std::size_t>(header.height);
  if (bytes.size() < needed)
    raise<FormatError>(origin, ": the BMP has ", bytes.size(), " bytes, but its picture needs ",
                       needed, "; is the file truncated?");
}

Image decode_bmp(std::span<const std::byte> bytes, const std::string& origin) {
  const BmpHeader header = parse_bmp_header(bytes, origin);
  require_complete_bmp(bytes, header, origin);
  Image out(header.width, header.height, 3);
  std::uint8_t* sample = out.pixels().data();
  // Copies a colour that is stored as blue, green, red.
  const auto put = [&](std::size_t at) {
    for (std::size_t c = 3; c-- > 0;) *sample++ = std::to_integer<std::uint8_t>(bytes[at + c]);
  };
  for (index_t y = 0; y < header.height; ++y) {
    const index_t stored = header.top_down ? y : header.height - 1 - y;
    const std::size_t row = header.pixels_at + header.stride() * static_cast<std::size_t>(stored);
    for (std::size_t x = 0; x < static_cast<std::size_t>(header.width); ++x) {
      if (header.bits == 24) {
        put(row + 3 * x);
      } else if (header.bits > 8) {
        const auto count = static_cast<std::size_t>(header.bits / 8);
        const std::uint32_t pixel = little_endian(bytes, row + count * x, count);
        for (std::size_t c = 0; c < 3; ++c) *sample++ = masked_sample(pixel, header.masks[c]);
      } else {
        const auto bits = static_cast<std::size_t>(header.bits), first = x * bits;
        const unsigned byte = std::to_integer<unsigned>(bytes[row + first / 8]);
        // The highest bits of a byte belong to its first pixel.
        const std::size_t color = byte >> (8 - bits - first % 8) & ((1u << bits) - 1u);
        if (color >= header.palette_size)
          raise<FormatError>(origin, ": row ", y, ", column ", x, " of the BMP has colour ", color,
                             " of a palette of ", header.palette_size);
        put(header.palette_at + color * header.color_bytes);
      }
    }
  }
  return out;
}

}  // namespace rae::detail
