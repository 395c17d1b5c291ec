// Plain-loop twin of kernels/window.hpp.
#pragma once

#include <limits>

#include "rae/core/math.hpp"
#include "rae/kernels/window.hpp"

namespace rae::reference {

/// out (B, O, h, w) from x (B, C, H, W), weight (O, C, kh, kw), bias (O) or empty.
template <Real T>
void conv2d(View<const T> x, View<const T> weight, View<const T> bias, const Window& w,
            View<T> out) {
  for (index_t b = 0; b < out.extent(0); ++b)
    for (index_t o = 0; o < out.extent(1); ++o)
      for (index_t y = 0; y < out.extent(2); ++y)
        for (index_t v = 0; v < out.extent(3); ++v) {
          T sum = bias.empty() ? T(0) : bias(o);
          for (index_t c = 0; c < x.extent(1); ++c)
            for (index_t i = 0; i < w.height; ++i)
              for (index_t j = 0; j < w.width; ++j) {
                const index_t r = y * w.stride + i - w.pad_h, s = v * w.stride + j - w.pad_w;
                if (r >= 0 && r < x.extent(2) && s >= 0 && s < x.extent(3))
                  sum += x(b, c, r, s) * weight(o, c, i, j);
              }
          out(b, o, y, v) = sum;
        }
}

/// largest and mean (B, C, h, w) of the pixels under the window, from x (B, C, H, W).
template <Real T>
void pool2d(View<const T> x, const Window& w, View<T> largest, View<T> mean) {
  for (index_t b = 0; b < largest.extent(0); ++b)
    for (index_t c = 0; c < largest.extent(1); ++c)
      for (index_t y = 0; y < largest.extent(2); ++y)
        for (index_t v = 0; v < largest.extent(3); ++v) {
          T best = -std::numeric_limits<T>::infinity(), sum = 0;
          index_t count = 0;
          for (index_t i = 0; i < w.height; ++i)
            for (index_t j = 0; j < w.width; ++j) {
              const index_t r = y * w.stride + i - w.pad_h, s = v * w.stride + j - w.pad_w;
              if (r < 0 || r >= x.extent(2) || s < 0 || s >= x.extent(3)) continue;
              best = math::max(best, x(b, c, r, s));
              sum += x(b, c, r, s);
              ++count;
            }
          largest(b, c, y, v) = best;
          mean(b, c, y, v) = sum / static_cast<T>(count);
        }
}

}  // namespace rae::reference
