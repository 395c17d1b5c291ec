#include "rae/train/batch_mix.hpp"

#include <algorithm>
#include <cmath>

#include "rae/core/parallel.hpp"

namespace rae {
namespace {

constexpr std::uint64_t kMixStream = std::uint64_t{1} << 60;  // of the seed, plus the sample
// Positions in the stream of a sample.
constexpr std::uint64_t kWhetherDraw = 0, kKindDraw = 1, kPlaceDraws = 2, kBetaDraws = 16;
constexpr int kGammaAttempts = 32;

/// The logarithm of a draw from the gamma distribution of shape alpha and scale 1: Marsaglia and
/// Tsang 2000, "A simple method for generating gamma variables".
double draw_log_gamma(double alpha, const Philox& random, std::uint64_t first) {
  const auto log_uniform = [&](std::uint64_t index) {
    return std::log(static_cast<double>(random.uniform(index)) + 0x1p-25);
  };
  // Shapes below 1 from those above.
  if (alpha < 1) return draw_log_gamma(alpha + 1, random, first + 1) + log_uniform(first) / alpha;
  const double d = alpha - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (int attempt = 0; attempt < kGammaAttempts; ++attempt) {
    const std::uint64_t at = first + 3 + 4 * static_cast<std::uint64_t>(attempt);
    const auto x = static_cast<double>(random.normal(at));
    const double root = 1 + c * x, v = root * root * root;
    if (root > 0 && log_uniform(at + 2) < x * x / 2 + d - d * v + d * std::log(v))
      return std::log(d * v);
  }
  return std::log(d);  // of a probability below 1e-40
}

/// The part of a picture that is pasted, [begin, end) of the rows and columns.
struct Part {
  index_t top = 0, bottom = 0, left = 0, right = 0;
};

Part cutmix_part(double share, index_t height, index_t width, const Philox& random) {
  const double side = std::sqrt(1 - share);
  const auto range = [&](index_t extent, std::uint64_t index) {
    const auto length = static_cast<index_t>(side * static_cast<double>(extent)),
               centre =
                   static_cast<index_t>(random.below(index, static_cast<std::uint64_t>(extent)));
    return std::pair(std::clamp<index_t>(centre - length / 2, 0, extent),
                     std::clamp<index_t>(centre + length / 2, 0, extent));
  };
  const auto [top, bottom] = range(height, kPlaceDraws);
  const auto [left, right] = range(width, kPlaceDraws + 1);
  return {top, bottom, left, right};
}

/// Mixes `next` into `image`, (C, H, W) each; returns the share that remains.
double mix(std::span<float> image, const float* next, index_t height, index_t width,
           const MixOptions& how, const Philox& random) {
  if (static_cast<double>(random.uniform(kWhetherDraw)) >= how.mixup_prob) return 1;
  const bool cuts = how.mixup_alpha <= 0 ||
                    (how.cutmix_alpha > 0 &&
                     static_cast<double>(random.uniform(kKindDraw)) < how.mixup_switch_prob);
  const double share = draw_beta(cuts ? how.cutmix_alpha : how.mixup_alpha, random, kBetaDraws);
  if (!cuts) {
    const auto own = static_cast<float>(share), other = static_cast<float>(1 - share);
    for (std::size_t i = 0; i < image.size(); ++i) image[i] = own * image[i] + other * next[i];
    return share;
  }
  const Part part = cutmix_part(share, height, width, random);
  const index_t rows = static_cast<index_t>(image.size()) / width;
  for (index_t row = 0; row < rows; ++row) {
    if (row % height < part.top || row % height >= part.bottom) continue;
    std::copy(next + row * width + part.left, next + row * width + part.right,
              image.data() + row * width + part.left);
  }
  return 1 - static_cast<double>((part.bottom - part.top) * (part.right - part.left)) /
                 static_cast<double>(height * width);
}

}  // namespace

void require_mix(const MixOptions& o) {
  const auto is_share = [](double value) { return value >= 0 && value <= 1; };
  if (!(o.mixup_alpha >= 0 && o.mixup_alpha <= kMostAlpha && o.cutmix_alpha >= 0 &&
        o.cutmix_alpha <= kMostAlpha))
    raise<ArgumentError>("mix: expected mixup_alpha and cutmix_alpha between 0 and ", kMostAlpha,
                         ", got ", o.mixup_alpha, " and ", o.cutmix_alpha);
  if (!is_share(o.mixup_prob) || !is_share(o.mixup_switch_prob))
    raise<ArgumentError>("mix: expected mixup_prob and mixup_switch_prob in [0, 1], got ",
                         o.mixup_prob, " and ", o.mixup_switch_prob);
}

double draw_beta(double alpha, const Philox& random, std::uint64_t first) {
  constexpr std::uint64_t kSecond = 4 * (kGammaAttempts + 2);
  const double a = draw_log_gamma(alpha, random, first),
               b = draw_log_gamma(alpha, random, first + kSecond);
  return 1 / (1 + std::exp(b - a));
}

MixedBatch mix_with_next(const Batch& batch, index_t classes, const MixOptions& options,
                         double label_smoothing, std::uint64_t seed) {
  require_mix(options);
  const Shape all = batch.images.shape();  // (B + 1, C, H, W)
  const index_t count = all[0] - 1, size = all[1] * all[2] * all[3];
  if (count < 1)
    raise<ArgumentError>("mix_with_next: expected at least two pictures, got ", all[0]);
  for (const std::int64_t label : batch.labels)
    if (label < 0 || label >= classes)
      raise<ArgumentError>("mix_with_next: label ", label, " is outside [0, ", classes, ")");
  MixedBatch out{Tensor<float>(Shape{count, all[1], all[2], all[3]}),
                 Tensor<float>(Shape{count, classes},
                               static_cast<float>(label_smoothing / static_cast<double>(classes))),
                 batch.first};
  const float* source = batch.images.data();
  float *images = out.images.data(), *targets = out.targets.data();
  parallel_for(count, 8, [&](index_t b) {
    const auto at = static_cast<std::size_t>(b);
    const std::span image(images + b * size, static_cast<std::size_t>(size));
    std::copy_n(source + b * size, size, image.data());
    const Philox random(seed, kMixStream + batch.first + at);
    const double share = mix(image, source + (b + 1) * size, all[2], all[3], options, random) *
                         (1 - label_smoothing);
    targets[b * classes + batch.labels[at]] += static_cast<float>(share);
    targets[b * classes + batch.labels[at + 1]] += static_cast<float>(1 - label_smoothing - share);
  });
  return out;
}

}  // namespace rae
