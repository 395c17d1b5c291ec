// A picture as one plane per channel, for operations on its colours.
//
// The weights of gray are those of torchvision's rgb_to_grayscale.
#pragma once

#include <algorithm>
#include <span>

namespace rae::detail {

/// `value` as a sample in [0, 1].
[[nodiscard]] inline float clamped_sample(double value) {
  return static_cast<float>(std::clamp(value, 0.0, 1.0));
}

/// The planes of a picture (C, H, W).
struct Planes {
  std::span<float> samples;
  std::size_t pixels, channels;

  [[nodiscard]] float& at(std::size_t channel, std::size_t i) const {
    return samples[channel * pixels + i];
  }
  [[nodiscard]] std::span<float> plane(std::size_t channel) const {
    return samples.subspan(channel * pixels, pixels);
  }
  /// Luma with the weights of ITU-R BT.601, rounded as torchvision has them.
  [[nodiscard]] double gray(std::size_t i) const {
    if (channels == 1) return static_cast<double>(at(0, i));
    return 0.2989 * static_cast<double>(at(0, i)) + 0.587 * static_cast<double>(at(1, i)) +
           0.114 * static_cast<double>(at(2, i));
  }
  /// Mean of `gray`.
  [[nodiscard]] double mean_gray() const {
    double sum = 0;
    for (std::size_t i = 0; i < pixels; ++i) sum += gray(i);
    return sum / static_cast<double>(pixels);
  }
  /// factor * sample + (1 - factor) * other(i), clamped to [0, 1].
  template <class Other>
  void blend(double factor, Other&& other) const {
    for (std::size_t i = 0; i < pixels; ++i) {
      const double away = (1 - factor) * other(i);
      for (std::size_t c = 0; c < channels; ++c)
        at(c, i) = clamped_sample(factor * static_cast<double>(at(c, i)) + away);
    }
  }
};

}  // namespace rae::detail
