// Images: 8-bit gray or RGB pictures, read from PNG, JPEG and BMP, resized as Pillow does, written
// as PNG.
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

/// Interpolation of `Image::resized`: mean of the covered pixels, or cubic convolution (a = -1/2)
/// widened when it shrinks.
enum class ResizeFilter { box, bicubic };

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

  /// Reads a PNG, JPEG or BMP file; transparency is ignored, 16-bit samples keep their upper half.
  /// Throws FileError when the file cannot be read, FormatError when it is no such picture,
  /// damaged, truncated or too large.
  [[nodiscard]] static Image open(const std::string& path);

  /// The same from memory; `origin` names the picture in messages.
  [[nodiscard]] static Image decode(std::span<const std::byte> bytes,
                                    const std::string& origin = "memory");

  /// A picture of a tensor (C, H, W) or (1, C, H, W) with C = 1 or 3; values outside [0, 1] are
  /// clamped. Throws ShapeError for other shapes, NumericError for NaN or infinity.
  [[nodiscard]] static Image from_tensor(const Tensor<float>& tensor,
                                         Rounding rounding = Rounding::nearest);

  /// One picture per sample of a tensor (N, C, H, W).
  [[nodiscard]] static std::vector<Image> from_batch(const Tensor<float>& tensor,
                                                     Rounding rounding = Rounding::nearest);

  /// The samples divided by 255, as (1, C, H, W).
  [[nodiscard]] Tensor<float> to_tensor() const;

  /// Columns.
  [[nodiscard]] index_t width() const noexcept { return width_; }
  /// Rows.
  [[nodiscard]] index_t height() const noexcept { return height_; }
  /// 1 (gray) or 3 (RGB); 0 without pixels.
  [[nodiscard]] int channels() const noexcept { return channels_; }
  /// True without pixels.
  [[nodiscard]] bool empty() const noexcept { return pixels_.empty(); }

  /// Samples by row, then column, then channel.
  [[nodiscard]] std::span<const std::uint8_t> pixels() const noexcept { return pixels_; }
  /// The same, to be changed.
  [[nodiscard]] std::span<std::uint8_t> pixels() noexcept { return pixels_; }

  /// Three channels: gray is repeated.
  [[nodiscard]] Image to_rgb() const;
  /// One channel: the luma of ITU-R 601 in 16-bit fixed point, as Pillow rounds it.
  [[nodiscard]] Image to_gray() const;

  /// The rectangle at (x, y). Throws ArgumentError when it leaves the picture.
  [[nodiscard]] Image cropped(index_t x, index_t y, index_t width, index_t height) const;
  /// Left and right exchanged.
  [[nodiscard]] Image flipped() const;

  /// Another size, antialiased; rows first, then columns, equal to `resize` of Pillow 9 bit for
  /// bit.
  [[nodiscard]] Image resized(index_t width, index_t height,
                              ResizeFilter filter = ResizeFilter::bicubic) const;
  /// The shorter side becomes `size`, the longer side keeps the proportion, rounded down
  /// (torchvision's `Resize(size)`).
  [[nodiscard]] Image resized_shorter(index_t size) const;
  /// The middle square, size x size: halved with a box filter while possible, then bicubic (ADM's
  /// `center_crop_arr`).
  [[nodiscard]] Image center_crop(index_t size) const;
  /// The same for a rectangle: the picture is brought to the smallest size that covers it.
  [[nodiscard]] Image center_crop(index_t width, index_t height) const;

  /// Writes a PNG with text pairs (key 1 to 79 characters of ASCII, value UTF-8); the file appears
  /// whole or not at all. Throws ArgumentError for an empty picture or an impossible pair,
  /// FileError when it cannot be written.
  void save_png(const std::string& path, const std::map<std::string, std::string>& text = {}) const;
  /// The bytes of that file.
  [[nodiscard]] std::vector<std::byte> encode_png(
      const std::map<std::string, std::string>& text = {}) const;

  /// Pictures of equal size in rows of `columns`, with `gap` white pixels between them. Throws
  /// ArgumentError.
  [[nodiscard]] static Image grid(std::span<const Image> images, index_t columns, index_t gap = 2);

  /// Equal size and samples.
  bool operator==(const Image&) const = default;

 private:
  index_t width_ = 0, height_ = 0;
  int channels_ = 0;
  std::vector<std::uint8_t> pixels_;
};

/// The text pairs of a PNG file, as UTF-8. Throws FileError, FormatError.
[[nodiscard]] std::map<std::string, std::string> read_png_text(const std::string& path);

/// The same from memory; `origin` names the picture in messages. Throws FormatError.
[[nodiscard]] std::map<std::string, std::string> parse_png_text(
    std::span<const std::byte> bytes, const std::string& origin = "memory");

}  // namespace rae
