// JPEG through libjpeg-turbo with its default settings (exact inverse transform, smooth upsampling
// of chroma), which Pillow uses as well.
#include <csetjmp>
#include <cstdio>

#include <jpeglib.h>

#include <jerror.h>

#include "picture_decoders.hpp"

namespace rae::detail {
namespace {

/// More scans are not a picture but an attempt to keep the decoder busy: each scan of a progressive
/// JPEG, of a few bytes, costs a pass over the whole picture.
constexpr int kMaxScans = 500;

/// The state of one decoding. It is outside the function that calls setjmp, because longjmp leaves
/// the local variables of that function undefined.
struct JpegState {
  jpeg_decompress_struct decoder = {};
  jpeg_error_mgr errors = {};
  jpeg_progress_mgr progress = {};
  std::jmp_buf failed = {};
  char message[JMSG_LENGTH_MAX] = {};
  std::vector<JSAMPLE> inks;  // a row of C, M, Y, K
};

JpegState& jpeg_state(j_common_ptr decoder) {
  return *static_cast<JpegState*>(decoder->client_data);
}

[[noreturn]] void fail_jpeg(j_common_ptr decoder) {
  JpegState& state = jpeg_state(decoder);
  state.errors.format_message(decoder, state.message);
  std::longjmp(state.failed, 1);
}

/// Warnings are errors, because they mean that a part of the picture is missing or guessed, except
/// for those about bytes that the picture does not need.
void receive_jpeg_message(j_common_ptr decoder, int level) {
  const int code = decoder->err->msg_code;
  const bool harmless =
      code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM;
  if (level < 0 && !harmless) fail_jpeg(decoder);
}

void limit_jpeg_scans(j_common_ptr decoder) {
  if (reinterpret_cast<j_decompress_ptr>(decoder)->input_scan_number <= kMaxScans) return;
  JpegState& state = jpeg_state(decoder);
  std::snprintf(state.message, sizeof state.message, "more than %d scans", kMaxScans);
  std::longjmp(state.failed, 1);
}

/// C, M, Y, K to R, G, B as Pillow does. JPEG files contain inverted inks (the convention of
/// Adobe).
void add_inks(std::span<const JSAMPLE> inks, std::uint8_t* rgb) {
  for (std::size_t i = 0; i < inks.size(); i += 4, rgb += 3) {
    const unsigned white = inks[i + 3];  // 255 - K
    for (std::size_t c = 0; c < 3; ++c) {
      const unsigned product = (255u - inks[i + c]) * white + 128;
      const unsigned absorbed = ((product >> 8) + product) >> 8;
      rgb[c] = static_cast<std::uint8_t>(white - absorbed);
    }
  }
}

/// Decodes into the pixels of `out`. Returns false when the library reports an error, with its
/// message in `state`.
bool run_libjpeg(JpegState& state, std::span<const std::byte> bytes, Image& out) {
  jpeg_decompress_struct& decoder = state.decoder;
  if (setjmp(state.failed) != 0) {
    jpeg_destroy_decompress(&decoder);
    return false;
  }
  decoder.err = jpeg_std_error(&state.errors);
  state.errors.error_exit = fail_jpeg;
  state.errors.emit_message = receive_jpeg_message;
  decoder.client_data = &state;
  jpeg_create_decompress(&decoder);
  state.progress.progress_monitor = limit_jpeg_scans;
  decoder.progress = &state.progress;
  jpeg_mem_src(&decoder, reinterpret_cast<const unsigned char*>(bytes.data()),
               static_cast<unsigned long>(bytes.size()));
  (void)jpeg_read_header(&decoder, TRUE);
  const bool inks = decoder.num_components == 4;
  decoder.out_color_space = inks ? JCS_CMYK : out.channels() == 1 ? JCS_GRAYSCALE : JCS_RGB;
  (void)jpeg_start_decompress(&decoder);
  if (index_t{decoder.output_width} != out.width() ||
      index_t{decoder.output_height} != out.height() ||
      decoder.output_components != (inks ? 4 : out.channels())) {
    std::snprintf(state.message, sizeof state.message, "it contradicts its header");
    std::longjmp(state.failed, 1);
  }
  while (decoder.output_scanline < decoder.output_height) {
    std::uint8_t* row =
        out.pixels().data() + index_t{decoder.output_scanline} * out.width() * out.channels();
    JSAMPROW target = inks ? state.inks.data() : row;
    (void)jpeg_read_scanlines(&decoder, &target, 1);
    if (inks) add_inks(state.inks, row);
  }
  (void)jpeg_finish_decompress(&decoder);
  jpeg_destroy_decompress(&decoder);
  return true;
}

}  // namespace

std::string libjpeg_version() {
#define RAE_TEXT_OF(x) #x
#define RAE_TEXT(x) RAE_TEXT_OF(x)
  return RAE_TEXT(LIBJPEG_TURBO_VERSION);
#undef RAE_TEXT
#undef RAE_TEXT_OF
}

Image decode_by_libjpeg(std::span<const std::byte> bytes, const ImageInfo& stored,
                        const std::string& origin) {
  Image out(stored.width, stored.height, stored.channels);
  JpegState state;
  state.inks.resize(static_cast<std::size_t>(stored.width) * 4);
  if (!run_libjpeg(state, bytes, out))
    raise<FormatError>(origin, ": cannot decode the JPEG (", std::string_view(state.message),
                       "); the file is damaged or truncated");
  return out;
}

}  // namespace rae::detail
