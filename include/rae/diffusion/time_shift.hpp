// Time shift for latents of many dimensions: t' = s t / (1 + (s - 1) t), s = sqrt(dimension /
// 4096).
//
// Source: section 4 of the paper, "dimension-dependent noise schedule shift" (after Esser et al.
// 2024).
#pragma once

#include <cmath>

#include "rae/core/shape.hpp"

namespace rae {

/// Dimension at which there is no shift.
inline constexpr index_t kShiftBaseDimension = 4096;

/// Throws ArgumentError unless the shift is a finite number of at least 1.
inline void require_time_shift(double shift) {
  if (!(shift >= 1.0 && std::isfinite(shift)))
    raise<ArgumentError>("time shift: expected a finite number >= 1, got ", shift);
}

/// Maps t in [0, 1] to s t / (1 + (s - 1) t), towards noise. Computed in the type of `t`. Throws
/// ArgumentError for s < 1.
template <class T>
[[nodiscard]] T time_shift(T t, double shift) {
#ifdef __clang__
#pragma clang fp contract( \
    off)  // it fuses products and sums of constants, with another rounding than at run time
#endif
  require_time_shift(shift);
  const T s = static_cast<T>(shift);
  // The reference multiplies and divides in the working precision with s - 1 taken in double.
  return s * t / (T(1) + static_cast<T>(shift - 1.0) * t);
}

/// s = sqrt(dimension / base) for a latent of `dimension` = C * h * w elements; 6.93 for 768 x 16
/// x 16. Below 1 for latents smaller than the base, which `time_shift` does not accept. Throws
/// ArgumentError when either number is below 1.
[[nodiscard]] inline double dimension_shift(index_t dimension, index_t base = kShiftBaseDimension) {
  if (dimension < 1 || base < 1)
    raise<ArgumentError>("dimension_shift: expected dimension and base >= 1, got ", dimension,
                         " and ", base);
  return std::sqrt(static_cast<double>(dimension) / static_cast<double>(base));
}

}  // namespace rae
