// Time shift for latents of high dimension: t' = s t / (1 + (s - 1) t), s = sqrt(dimension / 4096).
//
// Source: section 4 of the paper, "dimension-dependent noise schedule shift" (after Esser et al.
// 2024).
#pragma once

#include "rae/core/math.hpp"
#include "rae/core/shape.hpp"

namespace rae {

/// Latent dimension C * h * w without a shift (s = 1).
inline constexpr double kShiftBaseDimension = 4096;

/// Throws ArgumentError unless the shift is a finite number of at least 1.
inline void require_time_shift(double shift) {
  if (!(shift >= 1.0 && math::is_finite(shift)))
    raise<ArgumentError>("time shift: expected a finite number >= 1, got ", shift);
}

/// Maps t in [0, 1] to s t / (1 + (s - 1) t), closer to noise, computed in the type of `t`. Throws
/// ArgumentError unless s = `shift` is finite and at least 1.
template <class T>
[[nodiscard]] T time_shift(T t, double shift) {
#ifdef __clang__
#pragma clang fp contract( \
    off)  // it fuses products and sums of constants, with another rounding than at run time
#endif
  require_time_shift(shift);
  const T s = static_cast<T>(shift);
  // The reference multiplies and divides in the working precision, but computes s - 1 in double.
  return s * t / (T(1) + static_cast<T>(shift - 1.0) * t);
}

/// s = sqrt(dimension / base), the paper's shift for latents of `dimension` = C * h * w elements:
/// 6.93 for 768 x 16 x 16. It is below 1, which `time_shift` does not accept, for latents smaller
/// than the base. Throws ArgumentError unless both numbers are finite and above 0.
[[nodiscard]] inline double dimension_shift(double dimension, double base = kShiftBaseDimension) {
  if (!(dimension > 0.0 && base > 0.0 && math::is_finite(dimension) && math::is_finite(base)))
    raise<ArgumentError>("dimension_shift: expected a dimension and a base above 0, got ",
                         dimension, " and ", base);
  return math::sqrt(dimension / base);
}

/// The shift of `time_shift: auto` in a recipe: `dimension_shift` of the latent shape (C, h, w),
/// but at least 1 (no shift).
[[nodiscard]] inline double automatic_time_shift(const Shape& latent) {
  return math::max(1.0, dimension_shift(static_cast<double>(latent.numel())));
}

}  // namespace rae
