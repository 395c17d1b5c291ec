// Time grids of samplers: shifted flow times, decreasing from noise (t = 1) to data (t = 0).
//
// Source: section 4 of the paper; the first grid is that of the official sampler, t_i = shift(1 -
// linspace(0, 0.999, n)).
#pragma once

#include <vector>

#include "rae/diffusion/time_shift.hpp"

namespace rae {

namespace detail {

/// Largest number of points, so that a hostile configuration cannot exhaust memory.
inline constexpr index_t kMaxGridPoints = index_t{1} << 20;

/// `points` values shift(1 - linspace(first, last)), with linspace rounded as in PyTorch: computed
/// from both ends towards the middle.
template <class T>
std::vector<T> shifted_linspace(index_t points, T first, T last, double shift) {
#ifdef __clang__
#pragma clang fp contract(off)  // as in time_shift
#endif
  std::vector<T> grid(static_cast<std::size_t>(points));
  const T step = (last - first) / static_cast<T>(points - 1);
  for (index_t i = 0; i < points; ++i) {
    const T s = i < points / 2 ? first + step * static_cast<T>(i)
                               : last - step * static_cast<T>(points - 1 - i);
    grid[static_cast<std::size_t>(i)] = time_shift(T(1) - s, shift);
  }
  return grid;
}

}  // namespace detail

/// Last value of the official linspace for velocity prediction on the linear and GVP paths.
inline constexpr double kOfficialEnd = 0.999;

/// The grid of the official sampler, shift(1 - linspace(first, last, num_steps)): `num_steps`
/// points, hence num_steps - 1 steps; with the default end the last point is shift(0.001), not 0.
/// The official code sets first = 0.001 for networks that predict noise or score, and last = 1 -
/// last_step_size for stochastic samplers. Throws ArgumentError unless num_steps is in [2, 2^20],
/// shift >= 1 and 0 <= first < last <= 1.
template <class T = float>
[[nodiscard]] std::vector<T> official_time_grid(index_t num_steps, double shift, double first = 0.0,
                                                double last = kOfficialEnd) {
  require_time_shift(shift);
  if (num_steps < 2 || num_steps > detail::kMaxGridPoints)
    raise<ArgumentError>("official_time_grid: expected 2 to ", detail::kMaxGridPoints,
                         " points, got ", num_steps);
  if (!(first >= 0.0 && first < last && last <= 1.0))
    raise<ArgumentError>("official_time_grid: expected 0 <= first < last <= 1, got ", first,
                         " and ", last);
  return detail::shifted_linspace<T>(num_steps, static_cast<T>(first), static_cast<T>(last), shift);
}

/// A grid of `steps` steps (steps + 1 points) from t = 1 to exactly t = 0. Throws ArgumentError
/// unless steps is in [1, 2^20) and shift >= 1.
template <class T = float>
[[nodiscard]] std::vector<T> full_time_grid(index_t steps, double shift) {
  require_time_shift(shift);
  if (steps < 1 || steps >= detail::kMaxGridPoints)
    raise<ArgumentError>("full_time_grid: expected 1 to ", detail::kMaxGridPoints - 1,
                         " steps, got ", steps);
  return detail::shifted_linspace<T>(steps + 1, T(0), T(1), shift);
}

}  // namespace rae
