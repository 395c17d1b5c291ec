// WebP through libwebp with its default settings, which Pillow uses as well.
#include <webp/decode.h>

#include "picture_decoders.hpp"

namespace rae::detail {
namespace {

/// The reason of a failure, for messages.
std::string_view webp_reason(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY: return "out of memory";
    case VP8_STATUS_BITSTREAM_ERROR: return "damaged data";
    case VP8_STATUS_UNSUPPORTED_FEATURE: return "an unknown feature";
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA: return "truncated data";
    default: return "an internal error";
  }
}

}  // namespace

std::string libwebp_version() {
  const int version = WebPGetDecoderVersion();  // 8 bits each
  return concat(version >> 16, ".", version >> 8 & 0xff, ".", version & 0xff);
}

Image decode_by_libwebp(std::span<const std::byte> bytes, const ImageInfo& stored,
                        const std::string& origin) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  const auto require = [&](VP8StatusCode status) {
    if (status != VP8_STATUS_OK)
      raise<FormatError>(origin, ": cannot decode the WebP (", webp_reason(status), ")");
  };
  WebPDecoderConfig config;
  if (WebPInitDecoderConfig(&config) == 0)
    raise<FormatError>(origin, ": libwebp has another version than its header");
  require(WebPGetFeatures(data, bytes.size(), &config.input));
  if (config.input.width != stored.width || config.input.height != stored.height ||
      config.input.has_animation != 0)
    raise<FormatError>(origin, ": cannot decode the WebP (it contradicts its header)");
  Image out(stored.width, stored.height, 3);
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = out.pixels().data();
  config.output.u.RGBA.stride = static_cast<int>(3 * stored.width);
  config.output.u.RGBA.size = out.pixels().size();
  const VP8StatusCode status = WebPDecode(data, bytes.size(), &config);
  WebPFreeDecBuffer(&config.output);
  require(status);
  return out;
}

}  // namespace rae::detail
