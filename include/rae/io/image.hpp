// Images: 8-bit gray or RGB pictures, read from PNG, JPEG, WebP and BMP, resized as Pillow does,
// written as PNG.
//
// Source of the crops and roundings: preprocessing of ADM (centre crop) and torchvision (shorter
// side), as the paper's training code uses them.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "rae/core/tensor.hpp"

namespace rae {

/// How [0, 1] becomes 0 .. 255: `nearest` is floor(255 x + 0.5), `truncate` is floor(255 x).
enum class Rounding { nearest, truncate };

/// Interpolation of `Image::resized`: the mean of the covered pixels, or cubic convolution (a =
/// -1/2), whose support grows with the scale when the picture shrinks.
enum class ResizeFilter { box, bicubic };

/// The order of the colours of a pixel: red first, or blue first as in OpenCV.
enum class ChannelOrder { rgb, bgr };

/// How pictures are opened.
struct ImageOptions {
  /// Apply the EXIF orientation, so that the picture is upright as in every viewer. The official
  /// loader (`PIL.Image.open`) ignores it.
  bool exif = true;
};

/// A picture of 8-bit samples, height x width x channels, with 1 (gray) or 3 (RGB) channels. A
/// value.
class Image {
 public:
  /// Largest width or height of a picture.
  static constexpr index_t kMaxSide = 16384;
  /// Largest number of pixels of a picture: 8192 x 8192.
  static constexpr index_t kMaxPixels = index_t{1} << 26;

  /// No pixels.
  Image() = default;

  /// All samples equal to `value`. Throws ArgumentError for a size below 1, above the limits, or
  /// channels other than 1 and 3.
  Image(index_t width, index_t height, int channels, std::uint8_t value = 0);

  /// Reads a PNG, JPEG, WebP or BMP file. The samples are those of Pillow's `convert("RGB")` or,
  /// for gray files, `convert("L")`: transparency is dropped and 16-bit samples keep their upper
  /// half (Pillow clamps 16-bit gray instead). Without libjpeg-turbo, the samples of a JPEG differ
  /// by a few levels. Throws FileError when the file cannot be read, FormatError as
  /// `read_image_info`, for damaged or truncated pixels, and for WebP in a build without libwebp.
  [[nodiscard]] static Image open(const std::string& path, const ImageOptions& options = {});

  /// The same from memory; `origin` names the picture in messages. Throws FormatError.
  [[nodiscard]] static Image decode(std::span<const std::byte> bytes,
                                    const std::string& origin = "memory",
                                    const ImageOptions& options = {});

  /// A picture of a tensor (C, H, W) or (1, C, H, W) with C = 1 or 3; values outside [0, 1] are
  /// clamped. Throws ShapeError for other shapes, NumericError for NaN or infinity.
  [[nodiscard]] static Image from_tensor(const Tensor<float>& tensor,
                                         Rounding rounding = Rounding::nearest);

  /// A copy of samples (H, W), gray, or (H, W, C) with C = 1 or 3, of any strides: rows with a gap
  /// or from the bottom to the top, or planes (C, H, W) by a view with their strides. Throws
  /// ShapeError for other shapes, ArgumentError for a size above the limits.
  [[nodiscard]] static Image from_view(View<const std::uint8_t> samples,
                                       ChannelOrder order = ChannelOrder::rgb);
  /// The same of floats in [0, 1]; values outside are clamped. Throws NumericError for NaN or
  /// infinity as well.
  [[nodiscard]] static Image from_view(View<const float> samples,
                                       ChannelOrder order = ChannelOrder::rgb,
                                       Rounding rounding = Rounding::nearest);

  /// One picture for each entry of a tensor (N, C, H, W). Throws as `from_tensor`.
  [[nodiscard]] static std::vector<Image> from_batch(const Tensor<float>& tensor,
                                                     Rounding rounding = Rounding::nearest);

  /// The samples divided by 255, as (1, C, H, W). Throws ArgumentError for an empty picture.
  [[nodiscard]] Tensor<float> to_tensor() const;

  /// Columns.
  [[nodiscard]] index_t width() const noexcept { return width_; }
  /// Rows.
  [[nodiscard]] index_t height() const noexcept { return height_; }
  /// 1 (gray) or 3 (RGB); 0 for an empty picture.
  [[nodiscard]] int channels() const noexcept { return channels_; }
  /// True for a picture without pixels.
  [[nodiscard]] bool empty() const noexcept { return pixels_.empty(); }

  /// Samples by row, then column, then channel.
  [[nodiscard]] std::span<const std::uint8_t> pixels() const noexcept { return pixels_; }
  /// The same, for writing.
  [[nodiscard]] std::span<std::uint8_t> pixels() noexcept { return pixels_; }

  /// The samples as (H, W, C), for reading; valid until the picture changes.
  [[nodiscard]] View<const std::uint8_t> view() const noexcept {
    return {pixels_.data(), Shape{height_, width_, channels_}};
  }
  /// The same, for writing.
  [[nodiscard]] View<std::uint8_t> view() noexcept {
    return {pixels_.data(), Shape{height_, width_, channels_}};
  }

  /// Three channels: gray is repeated.
  [[nodiscard]] Image to_rgb() const;
  /// One channel: the luma of ITU-R BT.601 in 16-bit fixed point, rounded as Pillow does.
  [[nodiscard]] Image to_gray() const;

  /// The rectangle whose upper left corner is (x, y). Throws ArgumentError when it is not inside
  /// the picture.
  [[nodiscard]] Image cropped(index_t x, index_t y, index_t width, index_t height) const;
  /// The mirror image, with left and right exchanged.
  [[nodiscard]] Image flipped() const;

  /// The picture at another size, antialiased: rows first, then columns, equal to `resize` of
  /// Pillow 9 bit for bit. Throws ArgumentError for an empty picture or a size out of range.
  [[nodiscard]] Image resized(index_t width, index_t height,
                              ResizeFilter filter = ResizeFilter::bicubic) const;
  /// The shorter side becomes `size`, and the longer side keeps the proportion, rounded down
  /// (torchvision's `Resize(size)`). Throws ArgumentError.
  [[nodiscard]] Image resized_shorter(index_t size) const;
  /// The central square, resized to size x size: halved with a box filter while possible, then
  /// bicubic (ADM's `center_crop_arr`). Throws ArgumentError.
  [[nodiscard]] Image center_crop(index_t size) const;
  /// The same for a rectangle: the picture is resized to the smallest size that covers it.
  [[nodiscard]] Image center_crop(index_t width, index_t height) const;

  /// Writes a PNG with pairs of text (a key of 1 to 79 ASCII characters, a value in UTF-8); the
  /// file appears whole or not at all. Throws ArgumentError for an empty picture or a pair that PNG
  /// cannot store, FileError when it cannot be written.
  void save_png(const std::string& path, const std::map<std::string, std::string>& text = {}) const;
  /// The bytes of that file. Throws ArgumentError.
  [[nodiscard]] std::vector<std::byte> encode_png(
      const std::map<std::string, std::string>& text = {}) const;

  /// Pictures of equal size in rows of `columns`, with `gap` white pixels between them. Throws
  /// ArgumentError without pictures, for pictures of different sizes and for numbers out of range.
  [[nodiscard]] static Image grid(std::span<const Image> images, index_t columns, index_t gap = 2);
  /// True if `grid` of so many pictures of width x height keeps the limits of the size; known
  /// before the pictures are computed.
  [[nodiscard]] static bool grid_fits(index_t count, index_t columns, index_t width, index_t height,
                                      index_t gap = 2) noexcept;

  /// True for equal sizes and samples.
  bool operator==(const Image&) const = default;

 private:
  index_t width_ = 0, height_ = 0;
  int channels_ = 0;
  std::vector<std::uint8_t> pixels_;
};

/// The pairs of text in a PNG file, as UTF-8. Throws FileError, FormatError.
[[nodiscard]] std::map<std::string, std::string> read_png_text(const std::string& path);

/// The same from memory; `origin` names the picture in messages. Throws FormatError.
[[nodiscard]] std::map<std::string, std::string> parse_png_text(
    std::span<const std::byte> bytes, const std::string& origin = "memory");

}  // namespace rae
