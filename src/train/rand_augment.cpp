#include "rae/train/rand_augment.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "train/picture_planes.hpp"

namespace rae {
namespace {

using detail::clamped_sample;
using detail::Planes;

constexpr std::uint64_t kDraws = 128;  // position in the stream of a sample
constexpr std::uint64_t kOps = 14;
constexpr int kLevels = 256;

/// True for operations whose strength is negated with probability 1/2.
bool is_signed(AugmentOp op) { return op >= AugmentOp::shear_x && op <= AugmentOp::sharpness; }

/// Takes the pixel whose square contains from(x, y), for the centre (x, y) of each pixel.
template <class From>
void warp(const Planes& planes, index_t height, index_t width, double fill, From from) {
  std::vector<float> before(planes.samples.begin(), planes.samples.end());
  const auto outside = static_cast<float>(fill);
  for (index_t y = 0; y < height; ++y)
    for (index_t x = 0; x < width; ++x) {
      const auto [u, v] =
          from(static_cast<double>(x) + 0.5, static_cast<double>(y) + 0.5);  // in the source
      const auto column = static_cast<index_t>(std::floor(u)),
                 row = static_cast<index_t>(std::floor(v));
      const bool inside = column >= 0 && column < width && row >= 0 && row < height;
      const auto to = static_cast<std::size_t>(y * width + x),
                 at = static_cast<std::size_t>(inside ? row * width + column : 0);
      for (std::size_t c = 0; c < planes.channels; ++c)
        planes.at(c, to) = inside ? before[c * planes.pixels + at] : outside;
    }
}

/// Blends with the picture smoothed by (1 1 1; 1 5 1; 1 1 1) / 13; the border is not smoothed.
void sharpen(const Planes& planes, index_t height, index_t width, double factor) {
  if (height <= 2 || width <= 2) return;
  std::vector<float> before(planes.samples.begin(), planes.samples.end());
  for (std::size_t c = 0; c < planes.channels; ++c)
    for (index_t y = 1; y < height - 1; ++y)
      for (index_t x = 1; x < width - 1; ++x) {
        const auto i = static_cast<std::size_t>(y * width + x);
        const float* source = before.data() + c * planes.pixels + i;
        double sum = 4 * static_cast<double>(*source);
        for (index_t dy = -1; dy <= 1; ++dy)
          for (index_t dx = -1; dx <= 1; ++dx) sum += static_cast<double>(source[dy * width + dx]);
        planes.at(c, i) =
            clamped_sample(factor * static_cast<double>(*source) + (1 - factor) * sum / 13);
      }
}

/// A sample as a number of 8 bits.
int level_of(float sample) {
  return static_cast<int>(std::lround(255 * static_cast<double>(clamped_sample(sample))));
}

float sample_of(int level) { return static_cast<float>(level) / 255.0f; }

void auto_contrast(std::span<float> plane) {
  const auto [least, most] = std::minmax_element(plane.begin(), plane.end());
  const double low = static_cast<double>(*least), range = static_cast<double>(*most) - low;
  if (range <= 0) return;
  for (float& sample : plane) sample = clamped_sample((static_cast<double>(sample) - low) / range);
}

/// As torchvision's equalize, on 8 bits.
void equalize(std::span<float> plane) {
  std::array<int, kLevels> histogram{};
  for (const float sample : plane) ++histogram[static_cast<std::size_t>(level_of(sample))];
  const auto last = std::find_if(histogram.rbegin(), histogram.rend(), [](int n) { return n > 0; });
  const int step = (static_cast<int>(plane.size()) - *last) / (kLevels - 1);
  if (step == 0) return;
  std::array<int, kLevels> table{};  // level -> level
  int below = 0;
  for (std::size_t i = 0; i < table.size(); ++i) {
    table[i] = i == 0 ? 0 : std::min((below + step / 2) / step, kLevels - 1);
    below += histogram[i];
  }
  for (float& sample : plane) sample = sample_of(table[static_cast<std::size_t>(level_of(sample))]);
}

}  // namespace

void apply_augment_op(std::span<float> image, int channels, index_t height, index_t width,
                      AugmentOp op, double strength, double fill) {
  const auto count = static_cast<std::size_t>(channels);
  const Planes planes{image, image.size() / count, count};
  using Point = std::array<double, 2>;
  switch (op) {
    case AugmentOp::identity: return;
    case AugmentOp::shear_x:
      return warp(planes, height, width, fill, [=](double x, double y) {
        return Point{x + strength * y, y};
      });
    case AugmentOp::shear_y:
      return warp(planes, height, width, fill, [=](double x, double y) {
        return Point{x, y + strength * x};
      });
    case AugmentOp::translate_x:
      return warp(planes, height, width, fill, [=](double x, double y) {
        return Point{x - std::trunc(strength), y};
      });
    case AugmentOp::translate_y:
      return warp(planes, height, width, fill, [=](double x, double y) {
        return Point{x, y - std::trunc(strength)};
      });
    case AugmentOp::rotate: {
      const double angle = strength * std::numbers::pi / 180, cosine = std::cos(angle),
                   sine = std::sin(angle), cx = static_cast<double>(width) / 2,
                   cy = static_cast<double>(height) / 2;
      return warp(planes, height, width, fill, [=](double x, double y) {
        return Point{cx + (x - cx) * cosine - (y - cy) * sine,
                     cy + (x - cx) * sine + (y - cy) * cosine};
      });
    }
    case AugmentOp::brightness: return planes.blend(1 + strength, [](std::size_t) { return 0.0; });
    case AugmentOp::color:
      if (channels == 1) return;
      return planes.blend(1 + strength, [&](std::size_t i) { return planes.gray(i); });
    case AugmentOp::contrast: {
      const double mean = planes.mean_gray();
      return planes.blend(1 + strength, [&](std::size_t) { return mean; });
    }
    case AugmentOp::sharpness: return sharpen(planes, height, width, 1 + strength);
    case AugmentOp::posterize: {
      const int dropped = 8 - static_cast<int>(strength);
      for (float& sample : image) sample = sample_of(level_of(sample) >> dropped << dropped);
      return;
    }
    case AugmentOp::solarize:
      for (float& sample : image)
        if (static_cast<double>(sample) >= strength / 255) sample = 1 - sample;
      return;
    case AugmentOp::auto_contrast:
      for (std::size_t c = 0; c < count; ++c) auto_contrast(planes.plane(c));
      return;
    case AugmentOp::equalize:
      for (std::size_t c = 0; c < count; ++c) equalize(planes.plane(c));
      return;
  }
}

double augment_strength(const RandAugment& how, AugmentOp op, index_t height, index_t width) {
  const double share = static_cast<double>(how.magnitude) /
                       static_cast<double>(how.num_magnitude_bins - 1);  // of the largest
  switch (op) {
    case AugmentOp::shear_x:
    case AugmentOp::shear_y: return 0.3 * share;
    case AugmentOp::translate_x: return 150.0 / 331 * static_cast<double>(width) * share;
    case AugmentOp::translate_y: return 150.0 / 331 * static_cast<double>(height) * share;
    case AugmentOp::rotate: return 30 * share;
    case AugmentOp::brightness:
    case AugmentOp::color:
    case AugmentOp::contrast:
    case AugmentOp::sharpness: return 0.9 * share;
    case AugmentOp::posterize: return 8 - std::nearbyint(4 * share);
    case AugmentOp::solarize: return 255 * (1 - share);
    default: return 0;
  }
}

void rand_augment(std::span<float> image, int channels, index_t height, index_t width,
                  const RandAugment& how, const Philox& random) {
  for (index_t i = 0; i < how.num_ops; ++i) {
    const std::uint64_t first = kDraws + 2 * static_cast<std::uint64_t>(i);
    const auto op = static_cast<AugmentOp>(random.below(first, kOps));
    double strength = augment_strength(how, op, height, width);
    if (is_signed(op) && random.below(first + 1, 2) == 1) strength = -strength;
    apply_augment_op(image, channels, height, width, op, strength, how.fill);
  }
}

}  // namespace rae
