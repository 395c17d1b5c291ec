// Pillow's separable resampling of 8-bit samples: coefficients in double, rounded to fixed point
// with 22 bits after the point; rows first, then columns.
#include <algorithm>
#include <array>
#include <cmath>

#include "rae/io/image.hpp"

namespace rae {
namespace {

/// Bits after the point: of 32 bits, eight are for the sample and two for overshoot.
constexpr int kPrecision = 32 - 8 - 2;

double filter_value(ResizeFilter filter, double x) {
  if (filter == ResizeFilter::box) return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

/// The source samples of one output sample and their fixed-point weights.
struct Taps {
  index_t first = 0;
  std::vector<std::int32_t> weights;
};

std::vector<Taps> taps_of(index_t in, index_t out, ResizeFilter filter) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double widening = std::max(scale, 1.0);
  const double support = (filter == ResizeFilter::box ? 0.5 : 2.0) * widening;
  const double inverse = 1.0 / widening;
  std::vector<Taps> all(static_cast<std::size_t>(out));
  std::vector<double> weights;
  for (index_t i = 0; i < out; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const auto begin = std::max<index_t>(0, static_cast<index_t>(center - support + 0.5));
    const auto end = std::min<index_t>(in, static_cast<index_t>(center + support + 0.5));
    weights.clear();
    double sum = 0.0;
    for (index_t x = begin; x < end; ++x) {
      weights.push_back(filter_value(filter, (static_cast<double>(x) - center + 0.5) * inverse));
      sum += weights.back();
    }
    auto& taps = all[static_cast<std::size_t>(i)];
    taps.first = begin;
    for (double w : weights) {
      if (sum != 0.0) w /= sum;
      const double fixed = w * (1 << kPrecision);
      taps.weights.push_back(static_cast<std::int32_t>(fixed + (fixed < 0 ? -0.5 : 0.5)));
    }
  }
  return all;
}

std::uint8_t clip(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kPrecision, 0, 255));
}

/// Resamples one axis: `lines` lines of `in` groups of `group` samples become lines of
/// `taps.size()` groups.
void resample(const std::uint8_t* source, std::uint8_t* target, index_t lines, index_t in,
              index_t group, const std::vector<Taps>& taps) {
  const auto out = static_cast<index_t>(taps.size());
  std::vector<std::int32_t> sums(static_cast<std::size_t>(group));
  for (index_t line = 0; line < lines; ++line) {
    for (index_t i = 0; i < out; ++i) {
      const auto& tap = taps[static_cast<std::size_t>(i)];
      std::fill(sums.begin(), sums.end(), 1 << (kPrecision - 1));
      const std::uint8_t* from = source + (line * in + tap.first) * group;
      for (const std::int32_t weight : tap.weights) {
        for (index_t g = 0; g < group; ++g) sums[static_cast<std::size_t>(g)] += from[g] * weight;
        from += group;
      }
      std::uint8_t* to = target + (line * out + i) * group;
      for (index_t g = 0; g < group; ++g) to[g] = clip(sums[static_cast<std::size_t>(g)]);
    }
  }
}

}  // namespace

Image Image::resized(index_t width, index_t height, ResizeFilter filter) const {
  if (empty()) raise<ArgumentError>("Image::resized: the picture is empty");
  Image out(*this);
  if (width != width_) {
    Image wide(width, height_, channels_);
    resample(out.pixels_.data(), wide.pixels_.data(), height_, width_, channels_,
             taps_of(width_, width, filter));
    out = std::move(wide);
  }
  if (height != height_) {
    // A whole row is one group, so that the inner loop runs over contiguous samples.
    Image high(width, height, channels_);
    resample(out.pixels_.data(), high.pixels_.data(), 1, height_, width * channels_,
             taps_of(height_, height, filter));
    out = std::move(high);
  }
  return out;
}

Image Image::resized_shorter(index_t size) const {
  if (empty()) raise<ArgumentError>("Image::resized_shorter: the picture is empty");
  if (size < 1 || size > kMaxSide)
    raise<ArgumentError>("Image::resized_shorter: expected a size from 1 to ", kMaxSide, ", got ",
                         size);
  const index_t shorter = std::min(width_, height_);
  const auto longer = static_cast<index_t>(static_cast<double>(size * std::max(width_, height_)) /
                                           static_cast<double>(shorter));
  return width_ <= height_ ? resized(size, longer) : resized(longer, size);
}

Image Image::center_crop(index_t size) const { return center_crop(size, size); }

Image Image::center_crop(index_t width, index_t height) const {
  if (empty()) raise<ArgumentError>("Image::center_crop: the picture is empty");
  for (const index_t size : {width, height})
    if (size < 1 || size > kMaxSide)
      raise<ArgumentError>("Image::center_crop: expected a size from 1 to ", kMaxSide, ", got ",
                           size);
  Image out(*this);
  while (out.width_ >= 2 * width && out.height_ >= 2 * height)
    out = out.resized(out.width_ / 2, out.height_ / 2, ResizeFilter::box);
  const double scale = std::max(static_cast<double>(width) / static_cast<double>(out.width_),
                                static_cast<double>(height) / static_cast<double>(out.height_));
  // Halves go to the even number, as Python's round does.
  const auto scaled = [&](index_t side) {
    return static_cast<index_t>(std::nearbyint(static_cast<double>(side) * scale));
  };
  out = out.resized(scaled(out.width_), scaled(out.height_), ResizeFilter::bicubic);
  return out.cropped((out.width_ - width) / 2, (out.height_ - height) / 2, width, height);
}

}  // namespace rae
