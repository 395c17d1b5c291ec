// The decoders of pictures in this build, by format.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "rae/io/image.hpp"
#include "rae/io/image_info.hpp"

namespace rae::detail {

/// Decodes the pixels of a file whose header is `stored`, with width and height as in the file,
/// that is, before the orientation is applied. The result has that size and those channels. Throws
/// FormatError for damaged pixels.
using DecodePicture = Image (*)(std::span<const std::byte> bytes, const ImageInfo& stored,
                                const std::string& origin);

/// One way to decode a format.
struct PictureDecoder {
  std::string name;  ///< the library with its version
  DecodePicture decode;
};

/// The decoders of a format; `Image::open` uses the first. Empty when this build has none.
[[nodiscard]] std::span<const PictureDecoder> picture_decoders(ImageFormat format);

/// stb_image, for PNG and JPEG.
[[nodiscard]] Image decode_by_stb(std::span<const std::byte> bytes, const ImageInfo& stored,
                                  const std::string& origin);
/// libjpeg-turbo. Only in builds with RAE_JPEG.
[[nodiscard]] Image decode_by_libjpeg(std::span<const std::byte> bytes, const ImageInfo& stored,
                                      const std::string& origin);
/// The version of libjpeg-turbo, "2.1.5".
[[nodiscard]] std::string libjpeg_version();
/// libwebp. Only in builds with RAE_WEBP.
[[nodiscard]] Image decode_by_libwebp(std::span<const std::byte> bytes, const ImageInfo& stored,
                                      const std::string& origin);
/// The version of libwebp, "1.2.4".
[[nodiscard]] std::string libwebp_version();

}  // namespace rae::detail
