// Plain-loop twin of kernels/rope.hpp: the angle of one channel of one token, as the formulas say.
#pragma once

#include "rae/core/math.hpp"
#include "rae/kernels/rope.hpp"

namespace rae::reference {

/// Rotary angle of channel i < hd of the token at (row, column).
[[nodiscard]] inline double rope_angle(index_t head_dim, index_t row, index_t column, index_t i) {
  const index_t half = head_dim / 2;
  const index_t k = i < half ? i / 2 : (i - half) / 2;
  const double frequency =
      math::pow(10000.0, -2.0 * static_cast<double>(k) / static_cast<double>(half));
  return static_cast<double>(i < half ? row : column) * frequency;
}

/// Channel i < D of the sin-cos embedding of the token at (row, column): [sin x, cos x, sin y, cos
/// y], D/4 channels each.
[[nodiscard]] inline double sincos_channel(index_t dim, index_t row, index_t column, index_t i) {
  const index_t quarter = dim / 4, part = i / quarter, k = i % quarter;
  const double angle = static_cast<double>(part < 2 ? column : row) /
                       math::pow(10000.0, static_cast<double>(k) / static_cast<double>(quarter));
  return part == 0 || part == 2 ? math::sin(angle) : math::cos(angle);
}

/// out (B, T, H, hd) from x, for a grid of grid_h x grid_w tokens each repeated T / (grid_h*grid_w)
/// times: a complex product per pair.
template <Real T>
void apply_rope(View<const T> x, index_t grid_h, index_t grid_w, View<T> out,
                bool inverse = false) {
  const index_t repeats = x.extent(1) / (grid_h * grid_w);
  for (index_t b = 0; b < x.extent(0); ++b)
    for (index_t t = 0; t < x.extent(1); ++t)
      for (index_t h = 0; h < x.extent(2); ++h)
        for (index_t i = 0; i < x.extent(3); i += 2) {
          const double angle =
              rope_angle(x.extent(3), t / repeats / grid_w, t / repeats % grid_w, i);
          // (re + i im) * (cos + i sin)
          const auto re = static_cast<double>(x(b, t, h, i)),
                     im = static_cast<double>(x(b, t, h, i + 1));
          const double cos = math::cos(angle), sin = math::sin(inverse ? -angle : angle);
          out(b, t, h, i) = static_cast<T>(re * cos - im * sin);
          out(b, t, h, i + 1) = static_cast<T>(re * sin + im * cos);
        }
}

}  // namespace rae::reference
