// The headers of pictures. PNG: the chunks of PNG third edition, section 11, and eXIf; JPEG: the
// marker segments of ITU-T T.81, annex B; WebP: RFC 9649, section 2.
#include "rae/io/image_info.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "bmp.hpp"
#include "byte_order.hpp"
#include "deflate.hpp"
#include "exif.hpp"
#include "png.hpp"
#include "rae/io/image.hpp"
#include "rae/io/placeholder.hpp"

namespace rae {
namespace {

using detail::big_endian;
using detail::little_endian;
using std::string_view_literals::operator""sv;

[[noreturn]] void raise_cut(const std::string& origin, std::string_view format) {
  raise<FormatError>(origin, ": the ", format, " ends within its header; is the file truncated?");
}

/// The name of a format that is recognised but not read, with its article; "" for others.
std::string_view foreign_format(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kSignatures = {{
      {"GIF8"sv, "a GIF"},
      {"II*\0"sv, "a TIFF"},
      {"MM\0*"sv, "a TIFF"},
      {"8BPS"sv, "a Photoshop"},
      {"\0\0\1\0"sv, "an icon"},
      {"\xff\x0a"sv, "a JPEG XL"},
      {"\0\0\0\x0cJXL "sv, "a JPEG XL"},
      {"\0\0\0\x0cjP  "sv, "a JPEG 2000"},
      {"%PDF"sv, "a PDF"},
  }};
  for (const auto& [signature, name] : kSignatures)
    if (text.starts_with(signature)) return name;
  // Containers of ISO 14496-12: the size of the first box, its type, and the brand.
  if (text.size() < 12 || text.substr(4, 4) != "ftyp") return {};
  const std::string_view brand = text.substr(8, 4);
  if (brand == "avif" || brand == "avis") return "an AVIF";
  for (const std::string_view each :
       {"heic", "heix", "hevc", "hevx", "heim", "heis", "mif1", "msf1"})
    if (brand == each) return "a HEIC";
  return "a video or another media";
}

/// Throws FormatError for contents that are no picture, with the reason where it is recognised.
[[noreturn]] void raise_no_picture(std::span<const std::byte> bytes, const std::string& origin) {
  if (bytes.empty()) raise<FormatError>(origin, ": the file is empty");
  const std::string_view text = as_text(bytes.first(std::min<std::size_t>(bytes.size(), 512)));
  if (const std::string_view name = foreign_format(text); !name.empty())
    raise<FormatError>(origin, ": ", name, " file, neither PNG nor JPEG nor WebP nor BMP; ",
                       "save the picture in one of these formats");
  require_no_placeholder(bytes, origin);
  raise<FormatError>(origin, ": neither PNG nor JPEG nor WebP nor BMP");
}

ImageFormat format_of(std::span<const std::byte> bytes, const std::string& origin) {
  const std::string_view text = as_text(bytes);
  if (detail::is_png(bytes)) return ImageFormat::png;
  if (text.starts_with("\xff\xd8\xff")) return ImageFormat::jpeg;
  if (text.starts_with("RIFF") && text.size() >= 12 && text.substr(8, 4) == "WEBP")
    return ImageFormat::webp;
  if (text.starts_with("BM")) return ImageFormat::bmp;
  raise_no_picture(bytes, origin);
}

/// Walks the chunks up to the end, since eXIf may follow the pixels. Checksums are left to the
/// decoder, except that of the header.
ImageInfo png_info(std::span<const std::byte> bytes, const std::string& origin) {
  constexpr std::size_t kFirst = 8, kHeaderBytes = 13;
  if (bytes.size() < kFirst + 12 + kHeaderBytes) raise_cut(origin, "PNG");
  if (as_text(bytes.subspan(kFirst + 4, 4)) != "IHDR" ||
      big_endian(bytes, kFirst, 4) != kHeaderBytes)
    raise<FormatError>(origin, ": the PNG does not begin with its header chunk");
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
  if (detail::crc32_of(bytes.subspan(kFirst + 4, 4 + kHeaderBytes)) !=
      big_endian(bytes, kFirst + 8 + kHeaderBytes, 4))
    raise<FormatError>(origin, ": wrong checksum of the PNG header; the file is damaged");
#endif
  const std::span<const std::byte> header = bytes.subspan(kFirst + 8, kHeaderBytes);
  const std::uint32_t depth = big_endian(header, 8, 1), color = big_endian(header, 9, 1);
  // Gray, RGB, palette, gray with alpha, RGB with alpha: a bit for each depth that is allowed.
  constexpr std::array<std::uint32_t, 7> kDepths = {0x10116, 0, 0x10100, 0x116,
                                                    0x10100, 0, 0x10100};
  if (color >= kDepths.size() || depth > 16 || (kDepths[color] >> depth & 1u) == 0)
    raise<FormatError>(origin, ": a PNG of colour type ", color, " with ", depth,
                       " bits per sample, which do not fit together");
  ImageInfo out{.format = ImageFormat::png,
                .width = big_endian(header, 0, 4),
                .height = big_endian(header, 4, 4),
                .channels = color == 0 || color == 4 ? 1 : 3,
                .alpha = color >= 4};
  for (std::size_t at = kFirst; bytes.size() - at >= 12;) {
    const std::size_t length = big_endian(bytes, at, 4);
    const std::string_view type = as_text(bytes.subspan(at + 4, 4));
    if (type == "IEND") return out;
    if (length > bytes.size() - at - 12) break;
    if (type == "tRNS") out.alpha = true;
    if (type == "eXIf") out.orientation = detail::exif_orientation(bytes.subspan(at + 8, length));
    at += 12 + length;
  }
  raise<FormatError>(origin, ": the PNG ends without its end chunk; is the file truncated?");
}

/// Sets the size and the channels of a JPEG from its frame segment, without the two length bytes.
void read_jpeg_frame(ImageInfo& info, std::uint32_t marker, std::span<const std::byte> frame,
                     const std::string& origin) {
  if (marker == 0xc3 || (marker >= 0xc5 && marker != 0xc9 && marker != 0xca))
    raise<FormatError>(origin, ": a lossless or hierarchical JPEG, which cannot be read");
  if (frame.size() < 6) raise<FormatError>(origin, ": a damaged frame header in the JPEG");
  const std::uint32_t depth = big_endian(frame, 0, 1), components = big_endian(frame, 5, 1);
  if (depth != 8)
    raise<FormatError>(origin, ": a JPEG with ", depth, " bits per sample; expected 8");
  if (components != 1 && components != 3 && components != 4)
    raise<FormatError>(origin, ": a JPEG with ", components,
                       " components; expected 1 (gray), 3 (colour) or 4 (CMYK)");
  info.height = big_endian(frame, 1, 2);
  info.width = big_endian(frame, 3, 2);
  info.channels = components == 1 ? 1 : 3;
}

/// Walks the segments up to the first scan.
ImageInfo jpeg_info(std::span<const std::byte> bytes, const std::string& origin) {
  ImageInfo out{.format = ImageFormat::jpeg};
  bool frame = false, exif = false;
  for (std::size_t at = 2;;) {
    // Bytes between segments are skipped, as decoders do. 0xff may be repeated before a marker.
    while (at + 1 < bytes.size() &&
           (bytes[at] != std::byte{0xff} || bytes[at + 1] == std::byte{0xff} ||
            bytes[at + 1] == std::byte{0}))
      ++at;
    if (at + 1 >= bytes.size()) raise_cut(origin, "JPEG");
    const std::uint32_t marker = big_endian(bytes, at + 1, 1);
    at += 2;
    if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd7)) continue;  // no contents
    if (marker == 0xd9 || marker == 0xda) break;
    if (bytes.size() - at < 2) raise_cut(origin, "JPEG");
    const std::size_t length = big_endian(bytes, at, 2);
    if (length < 2) raise<FormatError>(origin, ": a damaged segment in the JPEG");
    if (length > bytes.size() - at) raise_cut(origin, "JPEG");
    const std::span<const std::byte> segment = bytes.subspan(at + 2, length - 2);
    at += length;
    if (marker == 0xe1 && !exif && as_text(segment).starts_with("Exif\0"sv)) {
      exif = true;
      out.orientation = detail::exif_orientation(segment);
    }
    // Frames: 0xc0 to 0xcf, except for tables (0xc4, 0xcc) and an extension (0xc8).
    if (!frame && marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 &&
        marker != 0xcc) {
      frame = true;
      read_jpeg_frame(out, marker, segment, origin);
    }
  }
  if (!frame) raise<FormatError>(origin, ": the JPEG has no frame header");
  return out;
}

/// Sets the properties of a WebP from its first chunk.
void read_webp_header(ImageInfo& info, std::string_view type, std::span<const std::byte> chunk,
                      const std::string& origin) {
  const auto require = [&](bool sound) {
    if (!sound) raise<FormatError>(origin, ": a damaged header in the WebP");
  };
  info.channels = 3;
  if (type == "VP8 ") {
    require(chunk.size() >= 10 && little_endian(chunk, 3, 3) == 0x2a019d);
    info.width = little_endian(chunk, 6, 2) & 0x3fff;
    info.height = little_endian(chunk, 8, 2) & 0x3fff;
  } else if (type == "VP8L") {
    require(chunk.size() >= 5 && chunk[0] == std::byte{0x2f});
    const std::uint32_t fields = little_endian(chunk, 1, 4);  // 14, 14, 1 and 3 bits
    info.width = (fields & 0x3fff) + 1;
    info.height = (fields >> 14 & 0x3fff) + 1;
    info.alpha = (fields >> 28 & 1) != 0;
    require(fields >> 29 == 0);
  } else {
    require(type == "VP8X" && chunk.size() >= 10);
    const std::uint32_t flags = little_endian(chunk, 0, 1);
    if ((flags & 0x02) != 0)
      raise<FormatError>(origin, ": an animated WebP, which cannot be read; save one of its ",
                         "pictures");
    info.alpha = (flags & 0x10) != 0;
    info.width = index_t{little_endian(chunk, 4, 3)} + 1;
    info.height = index_t{little_endian(chunk, 7, 3)} + 1;
  }
}

/// Walks the chunks up to the end, since the EXIF data follow the pixels.
ImageInfo webp_info(std::span<const std::byte> bytes, const std::string& origin) {
  constexpr std::size_t kFirst = 12;
  ImageInfo out{.format = ImageFormat::webp};
  const std::size_t end = std::size_t{8} + little_endian(bytes, 4, 4);
  if (end > bytes.size())
    raise<FormatError>(origin, ": the WebP has ", bytes.size(), " bytes, but declares ", end,
                       "; is the file truncated?");
  for (std::size_t at = kFirst; at == kFirst || end - std::min(at, end) >= 8;) {
    if (end < at + 8) raise<FormatError>(origin, ": a damaged header in the WebP");
    const std::string_view type = as_text(bytes.subspan(at, 4));
    const std::size_t length = little_endian(bytes, at + 4, 4);
    if (length > end - at - 8)
      raise<FormatError>(origin, ": a WebP chunk of ", length, " bytes exceeds the file");
    const std::span<const std::byte> chunk = bytes.subspan(at + 8, length);
    if (at == kFirst) read_webp_header(out, type, chunk, origin);
    if (at == kFirst && type != "VP8X") return out;
    if (type == "EXIF") {
      out.orientation = detail::exif_orientation(chunk);
      return out;
    }
    at += 8 + length + length % 2;
  }
  return out;
}

/// Throws FormatError for a size that `Image::open` refuses, and for files that are too short for
/// their pictures.
void require_sound_size(const ImageInfo& info, std::size_t file_bytes, const std::string& origin) {
  if (info.width < 1 || info.height < 1)
    raise<FormatError>(origin, ": a picture of ", info.width, " x ", info.height, " is empty");
  if (info.width > Image::kMaxSide || info.height > Image::kMaxSide ||
      info.width * info.height > Image::kMaxPixels)
    raise<FormatError>(origin, ": a picture of ", info.width, " x ", info.height,
                       " is too large; the limits are ", Image::kMaxSide, " on a side and ",
                       Image::kMaxPixels, " pixels");
  // The densest of the other formats is PNG with 1-bit pixels: deflate compresses at most 1032 : 1,
  // and 8 * 1032 = 8256 pixels per byte. One colour in lossless WebP needs no bits at all.
  if (info.format != ImageFormat::webp &&
      info.width * info.height > 8256 * (static_cast<index_t>(file_bytes) + 64))
    raise<FormatError>(origin, ": ", file_bytes, " bytes are too few for a picture of ", info.width,
                       " x ", info.height);
}

}  // namespace

std::string_view name_of(ImageFormat format) noexcept {
  constexpr std::array<std::string_view, 4> kNames = {"PNG", "JPEG", "WebP", "BMP"};
  return kNames[static_cast<std::size_t>(format)];
}

ImageInfo parse_image_info(std::span<const std::byte> bytes, const std::string& origin) {
  const ImageFormat format = format_of(bytes, origin);
  std::optional<detail::BmpHeader> bmp;
  ImageInfo out;
  if (format == ImageFormat::png) out = png_info(bytes, origin);
  if (format == ImageFormat::jpeg) out = jpeg_info(bytes, origin);
  if (format == ImageFormat::webp) out = webp_info(bytes, origin);
  if (format == ImageFormat::bmp) {
    bmp = detail::parse_bmp_header(bytes, origin);
    out = {.format = format,
           .width = bmp->width,
           .height = bmp->height,
           .channels = 3,
           .alpha = bmp->masks[3] != 0};
  }
  require_sound_size(out, bytes.size(), origin);
  if (bmp) detail::require_complete_bmp(bytes, *bmp, origin);
  if (out.orientation >= 5) std::swap(out.width, out.height);
  return out;
}

ImageInfo read_image_info(const std::string& path) {
  const MappedFile file(path);
  return parse_image_info(file.bytes(), path);
}

}  // namespace rae
