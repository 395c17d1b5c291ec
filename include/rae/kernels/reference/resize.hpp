// Plain-loop twin of kernels/resize.hpp: the dense interpolation matrix, one entry at a time.
#pragma once

#include "rae/core/math.hpp"
#include "rae/kernels/resize.hpp"

namespace rae::reference {

/// Keys' cubic convolution kernel with parameter a.
[[nodiscard]] inline double cubic_convolution(double x, double a) {
  const double d = math::fabs(x);
  if (d <= 1) return (a + 2) * d * d * d - (a + 3) * d * d + 1;
  if (d < 2) return a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a;
  return 0;
}

/// Weight of input j of `in` in output i of `out`.
[[nodiscard]] inline double resize_weight(Resize method, index_t in, index_t out, index_t i,
                                          index_t j) {
  if (method == Resize::nearest) return i * in / out == j ? 1 : 0;
  const double scale = static_cast<double>(in) / static_cast<double>(out),
               center = (static_cast<double>(i) + 0.5) * scale;
  if (method == Resize::bicubic_antialias) {
    const double widening = math::max(scale, 1.0);
    const auto inside = [&](index_t k) {
      return k >= static_cast<index_t>(center - 2 * widening + 0.5) &&
             k < static_cast<index_t>(center + 2 * widening + 0.5);
    };
    const auto filter = [&](index_t k) {
      return cubic_convolution((static_cast<double>(k) + 0.5 - center) / widening, -0.5);
    };
    double total = 0;
    for (index_t k = 0; k < in; ++k) total += inside(k) ? filter(k) : 0.0;
    return inside(j) ? filter(j) / total : 0.0;
  }
  const double source = center - 0.5;
  const auto left = static_cast<index_t>(math::floor(source));
  double weight = 0;
  for (index_t k = left - 1; k <= left + 2; ++k) {
    if (math::clamp<index_t>(k, 0, in - 1) != j) continue;
    const double distance = math::fabs(source - static_cast<double>(k));
    weight += method == Resize::bilinear ? math::max(0.0, 1 - distance)
                                         : cubic_convolution(distance, -0.75);
  }
  return weight;
}

/// out (B, C, h, w) from image (B, C, H, W), summed in double.
template <Real T>
void resize(View<const T> image, Resize method, View<T> out) {
  for (index_t b = 0; b < out.extent(0); ++b)
    for (index_t c = 0; c < out.extent(1); ++c)
      for (index_t y = 0; y < out.extent(2); ++y)
        for (index_t x = 0; x < out.extent(3); ++x) {
          double sum = 0;
          for (index_t v = 0; v < image.extent(2); ++v)
            for (index_t u = 0; u < image.extent(3); ++u)
              sum += resize_weight(method, image.extent(2), out.extent(2), y, v) *
                     resize_weight(method, image.extent(3), out.extent(3), x, u) *
                     static_cast<double>(image(b, c, v, u));
          out(b, c, y, x) = static_cast<T>(sum);
        }
}

/// dimage (B, C, H, W) for dout (B, C, h, w): the same weights, summed over the outputs.
template <Real T>
void resize_backward(View<const T> dout, Resize method, View<T> dimage) {
  for (index_t b = 0; b < dimage.extent(0); ++b)
    for (index_t c = 0; c < dimage.extent(1); ++c)
      for (index_t v = 0; v < dimage.extent(2); ++v)
        for (index_t u = 0; u < dimage.extent(3); ++u) {
          double sum = 0;
          for (index_t y = 0; y < dout.extent(2); ++y)
            for (index_t x = 0; x < dout.extent(3); ++x)
              sum += resize_weight(method, dimage.extent(2), dout.extent(2), y, v) *
                     resize_weight(method, dimage.extent(3), dout.extent(3), x, u) *
                     static_cast<double>(dout(b, c, y, x));
          dimage(b, c, v, u) = static_cast<T>(sum);
        }
}

}  // namespace rae::reference
