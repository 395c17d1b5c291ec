#include "rae/train/augmentation.hpp"

#include <algorithm>
#include <cmath>

#include "rae/error.hpp"
#include "train/picture_planes.hpp"

namespace rae {
namespace {

// Positions in the stream of a sample; 0 to 2 belong to shift and flip.
// RandAugment has 128 to 255.
constexpr std::uint64_t kCutoutDraws = 3, kCropDraws = 16, kJitterDraws = 64, kErasingDraws = 256,
                        kNoiseDraws = 512;
constexpr int kAttempts = 10;

double drawn(const AugmentRange& range, float uniform) {
  return range.lowest + (range.highest - range.lowest) * static_cast<double>(uniform);
}

void require_range(const char* name, const AugmentRange& range, double lowest, double highest) {
  if (!(range.lowest >= lowest && range.lowest <= range.highest && range.highest <= highest))
    raise<ArgumentError>("augmentation: ", name, ": expected a range within ", lowest, " and ",
                         highest, ", got ", range.lowest, " to ", range.highest);
}

using detail::Planes;

float clamped(double value) { return detail::clamped_sample(value); }

void turn_hue(const Planes& planes, double turns) {
  for (std::size_t i = 0; i < planes.pixels; ++i) {
    const double r = static_cast<double>(planes.at(0, i)), g = static_cast<double>(planes.at(1, i)),
                 b = static_cast<double>(planes.at(2, i));
    const double most = std::max({r, g, b}), least = std::min({r, g, b}), range = most - least;
    if (range == 0) continue;  // gray has no hue
    double hue = most == r   ? (g - b) / range
                 : most == g ? 2 + (b - r) / range
                             : 4 + (r - g) / range;  // in sixths of a turn
    hue = hue / 6 + turns;
    hue = (hue - std::floor(hue)) * 6;
    // Each channel is `most` within a sixth of its own hue and falls to `least` at a third.
    const auto channel = [&](double own) {
      const double k = std::fmod(own + hue, 6);
      return clamped(most - range * std::clamp(std::min(k, 4 - k), 0.0, 1.0));
    };
    planes.at(0, i) = channel(5);
    planes.at(1, i) = channel(3);
    planes.at(2, i) = channel(1);
  }
}

}  // namespace

void require_augmentation(const Augmentation& augmentation) {
  if (augmentation.shift < 0)
    raise<ArgumentError>("Batches: expected a shift of at least 0 pixels, got ",
                         augmentation.shift);
  if (augmentation.cutout < 0)
    raise<ArgumentError>("Batches: expected a cutout of at least 0 pixels, got ",
                         augmentation.cutout);
  if (const auto& crop = augmentation.random_resized_crop) {
    require_range("random_resized_crop.scale", crop->scale, 1e-6, 1);
    require_range("random_resized_crop.ratio", crop->ratio, 1e-2, 1e2);
  }
  if (const auto& jitter = augmentation.color_jitter) {
    require_range("color_jitter.brightness", jitter->brightness, 0, 100);
    require_range("color_jitter.contrast", jitter->contrast, 0, 100);
    require_range("color_jitter.saturation", jitter->saturation, 0, 100);
    require_range("color_jitter.hue", jitter->hue, -0.5, 0.5);
  }
  if (const auto& ops = augmentation.rand_augment)
    if (ops->num_ops < 0 || ops->num_ops > kMostAugmentOps || ops->num_magnitude_bins < 2 ||
        ops->magnitude < 0 || ops->magnitude >= ops->num_magnitude_bins ||
        !(ops->fill >= 0 && ops->fill <= 1))
      raise<ArgumentError>("augmentation: rand_augment: expected 0 to ", kMostAugmentOps,
                           " num_ops, at least 2 num_magnitude_bins, a magnitude from 0 to below "
                           "them and a fill between 0 and 1");
  if (const auto& erasing = augmentation.random_erasing) {
    require_range("random_erasing.scale", erasing->scale, 0, 1);
    require_range("random_erasing.ratio", erasing->ratio, 1e-2, 1e2);
    require_range("random_erasing.p", {erasing->p, erasing->p}, 0, 1);
    require_range("random_erasing.value", {erasing->value, erasing->value}, 0, 1);
  }
}

PixelBox random_crop_box(const RandomResizedCrop& how, index_t width, index_t height,
                         const Philox& random) {
  const double w = static_cast<double>(width), h = static_cast<double>(height);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const std::uint64_t first = kCropDraws + 4 * static_cast<std::uint64_t>(attempt);
    const double area = w * h * drawn(how.scale, random.uniform(first));
    const double ratio = std::exp(drawn({std::log(how.ratio.lowest), std::log(how.ratio.highest)},
                                        random.uniform(first + 1)));
    const auto part_w = static_cast<index_t>(std::llround(std::sqrt(area * ratio))),
               part_h = static_cast<index_t>(std::llround(std::sqrt(area / ratio)));
    if (part_w < 1 || part_h < 1 || part_w > width || part_h > height) continue;
    const auto place = [&](std::uint64_t index, index_t room) {
      return static_cast<index_t>(random.below(index, static_cast<std::uint64_t>(room) + 1));
    };
    return {place(first + 2, width - part_w), place(first + 3, height - part_h), part_w, part_h};
  }
  PixelBox box{0, 0, width, height};
  if (w / h < how.ratio.lowest)
    box.height = std::max<index_t>(1, std::llround(w / how.ratio.lowest));
  else if (w / h > how.ratio.highest)
    box.width = std::max<index_t>(1, std::llround(h * how.ratio.highest));
  box.x = (width - box.width) / 2;
  box.y = (height - box.height) / 2;
  return box;
}

void jitter_colors(std::span<float> image, int channels, const ColorJitter& how,
                   const Philox& random) {
  const auto count = static_cast<std::size_t>(channels);
  const Planes planes{image, image.size() / count, count};
  std::array<int, 4> order{0, 1, 2, 3};
  for (std::size_t i = order.size() - 1; i > 0; --i)
    std::swap(order[i], order[random.below(kJitterDraws + i, i + 1)]);
  const auto factor = [&](const AugmentRange& range, std::uint64_t index) {
    return drawn(range, random.uniform(kJitterDraws + 8 + index));
  };
  for (const int step : order) {
    if (step == 0) {
      if (const double f = factor(how.brightness, 0); f != 1)
        planes.blend(f, [](std::size_t) { return 0.0; });
    } else if (step == 1) {
      const double f = factor(how.contrast, 1);
      if (f == 1) continue;
      const double mean = planes.mean_gray();
      planes.blend(f, [&](std::size_t) { return mean; });
    } else if (channels == 1) {
      continue;
    } else if (step == 2) {
      if (const double f = factor(how.saturation, 2); f != 1)
        planes.blend(f, [&](std::size_t i) { return planes.gray(i); });
    } else if (const double turns = factor(how.hue, 3); turns != 0) {
      turn_hue(planes, turns);
    }
  }
}

void cut_out(std::span<float> image, index_t height, index_t width, index_t side,
             const Philox& random) {
  const auto place = [&](std::uint64_t index, index_t extent) {
    return static_cast<index_t>(random.below(index, static_cast<std::uint64_t>(extent))) - side / 2;
  };
  const index_t top = place(kCutoutDraws, height), left = place(kCutoutDraws + 1, width),
                rows = static_cast<index_t>(image.size()) / width;
  for (index_t row = 0; row < rows; ++row) {
    if (row % height < top || row % height >= top + side) continue;
    for (index_t x = std::max<index_t>(left, 0); x < std::min(left + side, width); ++x)
      image[static_cast<std::size_t>(row * width + x)] = 0.5f;
  }
}

void erase_randomly(std::span<float> image, index_t height, index_t width, const RandomErasing& how,
                    const Philox& random) {
  if (static_cast<double>(random.uniform(kErasingDraws)) >= how.p) return;
  const double area = static_cast<double>(height * width);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const std::uint64_t first = kErasingDraws + 4 * static_cast<std::uint64_t>(attempt + 1);
    const double part = area * drawn(how.scale, random.uniform(first));
    const double ratio = std::exp(drawn({std::log(how.ratio.lowest), std::log(how.ratio.highest)},
                                        random.uniform(first + 1)));
    const auto rows = static_cast<index_t>(std::llround(std::sqrt(part * ratio))),
               columns = static_cast<index_t>(std::llround(std::sqrt(part / ratio)));
    if (rows >= height || columns >= width) continue;
    const auto place = [&](std::uint64_t index, index_t room) {
      return static_cast<index_t>(random.below(index, static_cast<std::uint64_t>(room) + 1));
    };
    const index_t top = place(first + 2, height - rows), left = place(first + 3, width - columns),
                  all_rows = static_cast<index_t>(image.size()) / width;
    for (index_t row = 0; row < all_rows; ++row) {
      if (row % height < top || row % height >= top + rows) continue;
      for (index_t i = row * width + left; i < row * width + left + columns; ++i)
        image[static_cast<std::size_t>(i)] =
            how.noise ? random.uniform(kNoiseDraws + static_cast<std::uint64_t>(i))
                      : static_cast<float>(how.value);
    }
    return;
  }
}

}  // namespace rae
