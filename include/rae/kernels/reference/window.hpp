// Plain-loop twin of kernels/window.hpp.
#pragma once

#include <limits>

#include "rae/kernels/window.hpp"

namespace rae::reference {

/// largest and mean (B, C, h, w) of the pixels under the window, from x (B, C, H, W).
/// largest_dx (B, C, H, W) += and mean_dx (B, C, H, W) += from dout (B, C, h, w).
template <Real T>
void pool2d(View<const T> x, const Window& w, View<T> largest, View<T> mean, View<const T> dout,
            View<T> largest_dx, View<T> mean_dx) {
  for (index_t b = 0; b < largest.extent(0); ++b)
    for (index_t c = 0; c < largest.extent(1); ++c)
      for (index_t y = 0; y < largest.extent(2); ++y)
        for (index_t v = 0; v < largest.extent(3); ++v) {
          T best = -std::numeric_limits<T>::infinity(), sum = 0;
          index_t count = 0, best_r = 0, best_s = 0;
          const auto for_pixels = [&](auto f) {
            for (index_t i = 0; i < w.height; ++i)
              for (index_t j = 0; j < w.width; ++j) {
                const index_t r = y * w.stride + i - w.pad_h, s = v * w.stride + j - w.pad_w;
                if (r >= 0 && r < x.extent(2) && s >= 0 && s < x.extent(3)) f(r, s);
              }
          };
          for_pixels([&](index_t r, index_t s) {
            if (x(b, c, r, s) > best) {
              best = x(b, c, r, s);
              best_r = r;
              best_s = s;
            }
            sum += x(b, c, r, s);
            ++count;
          });
          largest(b, c, y, v) = best;
          mean(b, c, y, v) = sum / static_cast<T>(count);
          largest_dx(b, c, best_r, best_s) += dout(b, c, y, v);
          for_pixels([&](index_t r, index_t s) {
            mean_dx(b, c, r, s) += dout(b, c, y, v) / static_cast<T>(count);
          });
        }
}

}  // namespace rae::reference
