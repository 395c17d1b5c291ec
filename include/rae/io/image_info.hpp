// The header of a picture: format, size, channels, transparency and orientation, read without
// decoding the pixels.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "rae/core/shape.hpp"
#include "rae/error.hpp"

namespace rae {

/// The file formats of pictures.
enum class ImageFormat { png, jpeg, webp, bmp };

/// "PNG", "JPEG", "WebP" or "BMP".
[[nodiscard]] std::string_view name_of(ImageFormat format) noexcept;

/// The properties of a picture that its header contains.
struct ImageInfo {
  /// The format, recognised by the first bytes of the file and not by its name.
  ImageFormat format = ImageFormat::png;
  /// Columns and rows of the picture as `Image::open` returns it, after the orientation is applied.
  index_t width = 0, height = 0;
  /// 1 (gray) or 3 (colour, palettes included).
  int channels = 0;
  /// True when the file contains transparency, which `Image::open` drops.
  bool alpha = false;
  /// The EXIF orientation, 1 to 8. 1 means upright, also without EXIF data or with broken ones.
  /// 5 to 8 exchange width and height.
  int orientation = 1;

  /// True for equal properties.
  bool operator==(const ImageInfo&) const = default;
};

/// Reads the header of a PNG, JPEG, WebP or BMP file; WebP also in a build that cannot decode it.
/// Throws FileError when the file cannot be read. Throws FormatError for other contents (an empty
/// file, a git-lfs pointer, an HTML page and the usual other formats are named) and for a header
/// that is broken, or whose picture is too large or of a kind that `Image::open` does not read.
/// A file without an error here may still contain damaged pixels.
[[nodiscard]] ImageInfo read_image_info(const std::string& path);

/// The same from memory; `origin` names the picture in messages. Throws FormatError.
[[nodiscard]] ImageInfo parse_image_info(std::span<const std::byte> bytes,
                                         const std::string& origin = "memory");

/// The library that `Image::open` uses for a format in this build, with its version, for example
/// "libjpeg-turbo 2.1.5". Empty when this build cannot decode the format.
[[nodiscard]] std::string image_decoder(ImageFormat format);

}  // namespace rae
