#include "rae/io/image.hpp"

#include <algorithm>
#include <cmath>

namespace rae {

Image::Image(index_t width, index_t height, int channels, std::uint8_t value)
    : width_(width), height_(height), channels_(channels) {
  if (channels != 1 && channels != 3)
    raise<ArgumentError>("Image: expected 1 or 3 channels, got ", channels);
  if (width < 1 || height < 1 || width > kMaxSide || height > kMaxSide ||
      width * height > kMaxPixels)
    raise<ArgumentError>("Image: a size of ", width, " x ", height,
                         " is out of range; the limits are 1 to ", kMaxSide, " on a side and ",
                         kMaxPixels, " pixels");
  pixels_.assign(static_cast<std::size_t>(width * height * channels), value);
}

namespace {

std::uint8_t to_sample(float x, Rounding rounding) {
  const float scaled = rounding == Rounding::nearest ? x * 255.0f + 0.5f : x * 255.0f;
  return static_cast<std::uint8_t>(std::clamp(scaled, 0.0f, 255.0f));
}

/// One picture from planes (C, H, W).
Image from_planes(const float* planes, int channels, index_t height, index_t width,
                  Rounding rounding) {
  Image out(width, height, channels);
  std::uint8_t* pixels = out.pixels().data();
  const index_t plane = height * width;
  for (int c = 0; c < channels; ++c) {
    for (index_t i = 0; i < plane; ++i) {
      const float x = planes[c * plane + i];
      if (!std::isfinite(x))
        raise<NumericError>("Image::from_tensor: channel ", c, ", row ", i / width, ", column ",
                            i % width, " is ", std::isnan(x) ? "not a number" : "infinite");
      pixels[i * channels + c] = to_sample(x, rounding);
    }
  }
  return out;
}

}  // namespace

Image Image::from_tensor(const Tensor<float>& tensor, Rounding rounding) {
  const Shape& shape = tensor.shape();
  const bool one = shape.rank() == 3 || (shape.rank() == 4 && shape[0] == 1);
  if (!one || (shape[-3] != 1 && shape[-3] != 3))
    raise<ShapeError>(
        "Image::from_tensor: expected (C, H, W) or (1, C, H, W) with 1 or 3 channels, got ", shape);
  return from_planes(tensor.data(), static_cast<int>(shape[-3]), shape[-2], shape[-1], rounding);
}

namespace {

/// Throws ShapeError unless a view is (H, W) or (H, W, 1 or 3); the number of channels.
int channels_of(const Shape& shape) {
  if (shape.rank() == 2) return 1;
  if (shape.rank() != 3 || (shape[2] != 1 && shape[2] != 3))
    raise<ShapeError>("Image::from_view: expected (H, W) or (H, W, C) with 1 or 3 channels, got ",
                      shape);
  return static_cast<int>(shape[2]);
}

/// A picture whose sample at y, x, channel c is sample_at(offset, y, x, c), where `offset` is the
/// position in the view; c = 0 is gray or red.
template <class T, class SampleAt>
Image copied(View<const T> view, ChannelOrder order, SampleAt sample_at) {
  const int channels = channels_of(view.shape());
  const index_t height = view.extent(0), width = view.extent(1);
  Image out(width, height, channels);  // refuses sizes out of range
  std::uint8_t* pixels = out.pixels().data();
  const index_t step = view.shape().rank() == 3 ? view.stride(2) : 0;
  for (index_t y = 0; y < height; ++y)
    for (index_t x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c) {
        const int from = order == ChannelOrder::bgr ? channels - 1 - c : c;
        const T sample = view.data()[y * view.stride(0) + x * view.stride(1) + from * step];
        *pixels++ = sample_at(sample, y, x, c);
      }
  return out;
}

}  // namespace

Image Image::from_view(View<const std::uint8_t> samples, ChannelOrder order) {
  return copied(samples, order, [](std::uint8_t sample, index_t, index_t, int) { return sample; });
}

Image Image::from_view(View<const float> samples, ChannelOrder order, Rounding rounding) {
  return copied(samples, order, [&](float sample, index_t y, index_t x, int c) {
    if (!std::isfinite(sample))
      raise<NumericError>("Image::from_view: channel ", c, ", row ", y, ", column ", x, " is ",
                          std::isnan(sample) ? "not a number" : "infinite");
    return to_sample(sample, rounding);
  });
}

std::vector<Image> Image::from_batch(const Tensor<float>& tensor, Rounding rounding) {
  const Shape& shape = tensor.shape();
  if (shape.rank() != 4 || (shape[1] != 1 && shape[1] != 3))
    raise<ShapeError>("Image::from_batch: expected (N, C, H, W) with 1 or 3 channels, got ", shape);
  std::vector<Image> out;
  const float* data = tensor.data();
  for (index_t n = 0; n < shape[0]; ++n)
    out.push_back(from_planes(data + n * shape[1] * shape[2] * shape[3], static_cast<int>(shape[1]),
                              shape[2], shape[3], rounding));
  return out;
}

Tensor<float> Image::to_tensor() const {
  if (empty()) raise<ArgumentError>("Image::to_tensor: the picture is empty");
  Tensor<float> out({1, channels_, height_, width_});  // (1, C, H, W)
  float* planes = out.data();
  const index_t plane = height_ * width_;
  for (index_t i = 0; i < plane; ++i)
    for (int c = 0; c < channels_; ++c)
      planes[c * plane + i] =
          static_cast<float>(pixels_[static_cast<std::size_t>(i * channels_ + c)]) / 255.0f;
  return out;
}

Image Image::to_rgb() const {
  if (channels_ != 1) return *this;
  Image out(width_, height_, 3);
  for (std::size_t i = 0; i < pixels_.size(); ++i)
    std::fill_n(out.pixels_.begin() + static_cast<std::ptrdiff_t>(3 * i), 3, pixels_[i]);
  return out;
}

Image Image::to_gray() const {
  if (channels_ != 3) return *this;
  Image out(width_, height_, 1);
  for (std::size_t i = 0; i < out.pixels_.size(); ++i) {
    const std::uint8_t* rgb = pixels_.data() + 3 * i;
    out.pixels_[i] = static_cast<std::uint8_t>(
        (rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
  }
  return out;
}

Image Image::cropped(index_t x, index_t y, index_t width, index_t height) const {
  if (x < 0 || y < 0 || width < 1 || height < 1 || width > width_ - x || height > height_ - y)
    raise<ArgumentError>("Image::cropped: ", width, " x ", height, " at (", x, ", ", y,
                         ") is not inside the picture of ", width_, " x ", height_);
  Image out(width, height, channels_);
  const index_t row = width * channels_;
  for (index_t r = 0; r < height; ++r)
    std::copy_n(pixels_.begin() + ((y + r) * width_ + x) * channels_, row,
                out.pixels_.begin() + r * row);
  return out;
}

Image Image::flipped() const {
  Image out(*this);
  for (index_t y = 0; y < height_; ++y)
    for (index_t x = 0; x < width_; ++x)
      std::copy_n(pixels_.begin() + (y * width_ + x) * channels_, channels_,
                  out.pixels_.begin() + (y * width_ + width_ - 1 - x) * channels_);
  return out;
}

bool Image::grid_fits(index_t count, index_t columns, index_t width, index_t height,
                      index_t gap) noexcept {
  for (const index_t n : {count, columns, width, height})
    if (n < 1) return false;
  columns = std::min(columns, count);
  const index_t rows = (count - 1) / columns + 1;
  // Below these limits the products cannot overflow.
  for (const index_t n : {columns, rows, width, height})
    if (n > kMaxSide) return false;
  if (gap < 0 || gap > kMaxSide) return false;
  const index_t across = columns * (width + gap) - gap, down = rows * (height + gap) - gap;
  return across <= kMaxSide && down <= kMaxSide && across * down <= kMaxPixels;
}

Image Image::grid(std::span<const Image> images, index_t columns, index_t gap) {
  if (images.empty() || images[0].empty()) raise<ArgumentError>("Image::grid: no pictures");
  if (columns < 1 || columns > kMaxSide || gap < 0 || gap > kMaxSide)
    raise<ArgumentError>("Image::grid: ", columns, " columns with a gap of ", gap,
                         "; expected at least 1 column and a gap of 0 or more");
  const Image& first = images[0];
  const auto count = static_cast<index_t>(images.size());
  columns = std::min(columns, count);
  const index_t rows = (count + columns - 1) / columns;
  Image out(columns * (first.width_ + gap) - gap, rows * (first.height_ + gap) - gap,
            first.channels_, 255);
  for (index_t i = 0; i < count; ++i) {
    const Image& image = images[static_cast<std::size_t>(i)];
    if (image.width_ != first.width_ || image.height_ != first.height_ ||
        image.channels_ != first.channels_)
      raise<ArgumentError>("Image::grid: picture ", i, " is ", image.width_, " x ", image.height_,
                           " x ", image.channels_, ", the first is ", first.width_, " x ",
                           first.height_, " x ", first.channels_);
    const index_t x = i % columns * (first.width_ + gap), y = i / columns * (first.height_ + gap);
    const index_t row = first.width_ * first.channels_;
    for (index_t r = 0; r < first.height_; ++r)
      std::copy_n(image.pixels_.begin() + r * row, row,
                  out.pixels_.begin() + ((y + r) * out.width_ + x) * out.channels_);
  }
  return out;
}

}  // namespace rae
