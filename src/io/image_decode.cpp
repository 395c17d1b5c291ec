// Opening pictures: the header, the decoder of its format, and the orientation.
#include <utility>

#include "picture_decoders.hpp"
#include "rae/core/cancellation.hpp"
#include "rae/io/file.hpp"

namespace rae {
namespace {

/// The picture upright, for an EXIF orientation (1 to 8) that says how it is stored.
Image upright(Image stored, int orientation) {
  if (orientation == 1) return stored;
  const bool exchanged = orientation >= 5;  // rows are stored as columns
  const index_t w = stored.width(), h = stored.height(), channels = stored.channels();
  Image out(exchanged ? h : w, exchanged ? w : h, stored.channels());
  // The stored corner that belongs in the upper left corner.
  const bool from_right =
      orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  // Distances in the stored samples between neighbours of the upright picture.
  const index_t column = (from_right ? -1 : 1) * channels, row = (from_bottom ? -w : w) * channels;
  const index_t right = exchanged ? row : column, down = exchanged ? column : row;
  const index_t corner = ((from_bottom ? h - 1 : 0) * w + (from_right ? w - 1 : 0)) * channels;
  const std::uint8_t* source = stored.pixels().data();
  std::uint8_t* sample = out.pixels().data();
  for (index_t y = 0; y < out.height(); ++y)
    for (index_t x = 0; x < out.width(); ++x)
      for (index_t c = 0; c < channels; ++c) *sample++ = source[corner + y * down + x * right + c];
  return out;
}

}  // namespace

Image Image::decode(std::span<const std::byte> bytes, const std::string& origin,
                    const ImageOptions& options) {
  if (bytes.size() > (std::size_t{1} << 30))
    raise<FormatError>(origin, ": a picture file of more than 1 GiB");
  ImageInfo stored = parse_image_info(bytes, origin);
  if (stored.orientation >= 5) std::swap(stored.width, stored.height);
  const auto decoders = detail::picture_decoders(stored.format);
  if (decoders.empty())
    raise<FormatError>(origin, ": cannot decode ", name_of(stored.format),
                       ", because rae was built without libwebp (Debian: libwebp-dev); save the "
                       "picture as PNG");
  Image out = decoders.front().decode(bytes, stored, origin);
  return options.exif ? upright(std::move(out), stored.orientation) : out;
}

Image Image::open(const std::string& path, const ImageOptions& options) {
  stop_if_cancelled();
  const MappedFile file(path);
  return decode(file.bytes(), path, options);
}

}  // namespace rae
