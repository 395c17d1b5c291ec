// CMake defines for this file RAE_STB_VERSION, and RAE_HAS_LIBJPEG and RAE_HAS_LIBWEBP when these
// libraries are used.
#include "picture_decoders.hpp"

#include <array>
#include <vector>

#include "bmp.hpp"
#include "rae/version.hpp"

namespace rae {
namespace detail {

std::span<const PictureDecoder> picture_decoders(ImageFormat format) {
  static const auto all = [] {
    std::array<std::vector<PictureDecoder>, 4> lists;
    const auto add = [&](ImageFormat each, std::string name, DecodePicture decode) {
      lists[static_cast<std::size_t>(each)].push_back({std::move(name), decode});
    };
#ifdef RAE_HAS_LIBJPEG
    add(ImageFormat::jpeg, "libjpeg-turbo " + libjpeg_version(), decode_by_libjpeg);
#endif
#ifdef RAE_HAS_LIBWEBP
    add(ImageFormat::webp, "libwebp " + libwebp_version(), decode_by_libwebp);
#endif
    const std::string stb = "stb_image " RAE_STB_VERSION;
    add(ImageFormat::png, stb, decode_by_stb);
    add(ImageFormat::jpeg, stb, decode_by_stb);
    add(ImageFormat::bmp, concat("rae ", kVersion),
        [](std::span<const std::byte> bytes, const ImageInfo&, const std::string& origin) {
          return decode_bmp(bytes, origin);
        });
    return lists;
  }();
  return all[static_cast<std::size_t>(format)];
}

}  // namespace detail

std::string image_decoder(ImageFormat format) {
  const auto decoders = detail::picture_decoders(format);
  return decoders.empty() ? "" : decoders.front().name;
}

}  // namespace rae
