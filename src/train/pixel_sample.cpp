#include "rae/train/pixel_sample.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "rae/core/parallel.hpp"
#include "rae/core/tensor.hpp"

namespace rae {
namespace {

constexpr index_t kMostSizes = 50;        // pictures whose stored size is read
constexpr index_t kChunk = 64;            // pictures that are in memory at once
constexpr float kRounding = 4.0f / 255;   // difference of channels of gray pictures in JPEG files
constexpr double kLeastDeviation = 0.01;  // pixels are divided by it

/// Sums over the pixels of one picture.
struct Sums {
  double sum[3] = {}, squares[3] = {};
  bool gray = true;
};

/// `picture` is (channels, H, W), flat.
Sums sums_of(std::span<const float> picture, int channels) {
  Sums out;
  const std::size_t plane = picture.size() / static_cast<std::size_t>(channels);
  for (std::size_t c = 0; c < static_cast<std::size_t>(channels); ++c)
    for (std::size_t i = 0; i < plane; ++i) {
      const auto value = static_cast<double>(picture[c * plane + i]);
      out.sum[c] += value;
      out.squares[c] += value * value;
      if (std::abs(picture[c * plane + i] - picture[i]) > kRounding) out.gray = false;
    }
  return out;
}

index_t median_side(const ImageDataset& data) {
  const index_t count = std::min(kMostSizes, data.size());
  std::vector<index_t> sides;
  std::vector<float> unused(static_cast<std::size_t>(data.image_size()));
  for (index_t k = 0; k < count; ++k)
    data.part(k * data.size() / count, unused, 0, [&](index_t width, index_t height) {
      sides.push_back(std::min(width, height));
      return PixelBox{0, 0, width, height};
    });
  std::sort(sides.begin(), sides.end());
  return sides[sides.size() / 2];
}

}  // namespace

PixelSample sample_pixels(const ImageDataset& data, index_t most,
                          const Function<bool()>& should_stop) {
  if (data.size() < 1 || most < 1)
    raise<ArgumentError>("sample_pixels: expected at least 1 picture, got ",
                         std::min(data.size(), most));
  PixelSample out{.pictures = std::min(most, data.size()), .gray = true};
  const int channels = data.channels();
  const index_t pixels = data.image_size();
  std::vector<float> buffer(static_cast<std::size_t>(kChunk * pixels));  // (kChunk, C, H, W)
  std::vector<Sums> sums(static_cast<std::size_t>(kChunk));
  double sum[3] = {}, squares[3] = {};
  for (index_t begin = 0; begin < out.pictures; begin += kChunk) {
    if (should_stop && should_stop()) raise<Cancelled>("interrupted while reading pictures");
    const index_t count = std::min(kChunk, out.pictures - begin);
    parallel_for(count, 4, [&](index_t k) {
      const std::span<float> picture(buffer.data() + k * pixels, static_cast<std::size_t>(pixels));
      data.image((begin + k) * data.size() / out.pictures, picture);
      sums[static_cast<std::size_t>(k)] = sums_of(picture, channels);
    });
    for (index_t k = 0; k < count; ++k) {
      const Sums& each = sums[static_cast<std::size_t>(k)];
      out.gray = out.gray && each.gray;
      for (int c = 0; c < channels; ++c) {
        sum[c] += each.sum[c];
        squares[c] += each.squares[c];
      }
    }
  }
  const auto n = static_cast<double>(out.pictures * pixels / channels);
  for (std::size_t c = 0; c < 3; ++c) {
    const std::size_t from = channels == 1 ? 0 : c;
    const double mean = sum[from] / n;
    out.pixels.mean[c] = mean;
    out.pixels.std[c] =
        std::max(kLeastDeviation, std::sqrt(std::max(0.0, squares[from] / n - mean * mean)));
  }
  out.side = median_side(data);
  return out;
}

}  // namespace rae
