// Plain-loop twin of kernels/group_norm.hpp, in double.
#pragma once

#include "rae/core/math.hpp"
#include "rae/kernels/group_norm.hpp"

namespace rae::reference {

/// out (B, C, P) from x (B, C, P), weight (C), bias (C).
template <Real T>
void group_norm(View<const T> x, View<const T> weight, View<const T> bias, index_t groups,
                double eps, View<T> out) {
  const index_t each = x.extent(1) / groups, positions = x.extent(2);
  for (index_t b = 0; b < x.extent(0); ++b)
    for (index_t g = 0; g < groups; ++g) {
      double sum = 0, square = 0;
      const double count = static_cast<double>(each * positions);
      for (index_t c = g * each; c < (g + 1) * each; ++c)
        for (index_t p = 0; p < positions; ++p) sum += static_cast<double>(x(b, c, p));
      for (index_t c = g * each; c < (g + 1) * each; ++c)
        for (index_t p = 0; p < positions; ++p)
          square += math::pow(static_cast<double>(x(b, c, p)) - sum / count, 2);
      const double scale = 1 / math::sqrt(square / count + eps);
      for (index_t c = g * each; c < (g + 1) * each; ++c)
        for (index_t p = 0; p < positions; ++p)
          out(b, c, p) = static_cast<T>((static_cast<double>(x(b, c, p)) - sum / count) * scale *
                                            static_cast<double>(weight(c)) +
                                        static_cast<double>(bias(c)));
    }
}

}  // namespace rae::reference
