// Plain-loop twin of kernels/gaussian.hpp, for moments (R, 2C).
#pragma once

#include "rae/core/math.hpp"
#include "rae/kernels/gaussian.hpp"

namespace rae::reference {

/// The variance that belongs to a stored logarithm.
[[nodiscard]] inline double gaussian_variance(double log_variance) {
  return math::exp(math::clamp(log_variance, kLeastLogVariance, kLargestLogVariance));
}

/// out (R, C) = mean + sqrt(variance) * noise.
template <Real T>
void gaussian_sample(View<const T> moments, View<const T> noise, View<T> out) {
  const index_t c = noise.extent(1);
  for (index_t r = 0; r < noise.extent(0); ++r)
    for (index_t i = 0; i < c; ++i)
      out(r, i) =
          static_cast<T>(static_cast<double>(moments(r, i)) +
                         math::sqrt(gaussian_variance(static_cast<double>(moments(r, c + i)))) *
                             static_cast<double>(noise(r, i)));
}

/// Mean of 1/2 (mean^2 + variance - 1 - log variance).
template <Real T>
[[nodiscard]] T gaussian_kl(View<const T> moments) {
  const index_t c = moments.extent(1) / 2;
  double sum = 0;
  for (index_t r = 0; r < moments.extent(0); ++r)
    for (index_t i = 0; i < c; ++i) {
      const double variance = gaussian_variance(static_cast<double>(moments(r, c + i)));
      sum +=
          (math::pow(static_cast<double>(moments(r, i)), 2) + variance - 1 - math::log(variance)) /
          2;
    }
  return static_cast<T>(sum / static_cast<double>(moments.numel() / 2));
}

}  // namespace rae::reference
