// Normalisation of pixels for the encoder. Diffusion Transformers with Representation
// Autoencoders, section 3; official class RAE, `encoder_mean` and `encoder_std`.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "rae/core/tensor.hpp"

namespace rae {

/// Mean and standard deviation per channel of pixels in [0, 1]; gray pictures use the first. The
/// defaults are those of ImageNet.
struct PixelNorm {
  std::array<double, 3> mean{0.485, 0.456, 0.406}, std{0.229, 0.224, 0.225};
};

/// The pictures that a decoder makes: normalised as those of its encoder are (RAE), or in [0, 1]
/// (RAEv2, arXiv 2605.18324).
enum class PixelRange { normalized, unit };

/// Lower-case name.
constexpr std::string_view name_of(PixelRange range) noexcept {
  return range == PixelRange::unit ? "unit" : "normalized";
}
/// Inverse of `name_of`. Throws ArgumentError.
inline PixelRange parse_pixel_range(std::string_view name) {
  for (const PixelRange range : {PixelRange::normalized, PixelRange::unit})
    if (name == name_of(range)) return range;
  raise<ArgumentError>("unknown range of pixels '", name, "': expected normalized or unit");
}

namespace detail {
/// f(value, mean, std) for each element of pictures (B, channels, H, W).
template <Real T, class F>
Tensor<T> per_channel(Tensor<T> image, const PixelNorm& norm, F f) {
  const Shape s = image.shape();  // (B, channels, H, W)
  if (s.rank() != 4 || s[1] > 3)
    raise<ShapeError>("PixelNorm: expected pictures (B, channels, H, W) of 1 to 3 channels, got ",
                      s);
  const index_t channels = s[1], plane = s[2] * s[3];
  T* pixels = image.data();
  for (index_t i = 0; i < image.numel(); ++i) {
    const auto c = static_cast<std::size_t>(i / plane % channels);
    pixels[i] = static_cast<T>(f(static_cast<double>(pixels[i]), norm.mean[c], norm.std[c]));
  }
  return image;
}
}  // namespace detail

/// (image - mean) / std per channel, for pictures (B, channels, H, W) in [0, 1]. Throws ShapeError
/// for another rank or more than three channels.
template <Real T>
Tensor<T> normalize_pixels(Tensor<T> image, const PixelNorm& norm) {
  return detail::per_channel(std::move(image), norm,
                             [](double v, double mean, double std) { return (v - mean) / std; });
}
/// The inverse, image * std + mean; the result is not clamped to [0, 1]. Throws ShapeError.
template <Real T>
Tensor<T> denormalize_pixels(Tensor<T> image, const PixelNorm& norm) {
  return detail::per_channel(std::move(image), norm,
                             [](double v, double mean, double std) { return v * std + mean; });
}

}  // namespace rae
