// Plain twin of kernels/softmax.hpp.
#pragma once

#include "rae/core/math.hpp"
#include "rae/kernels/softmax.hpp"

namespace rae::reference {

/// out (R, N), summed in double.
template <Real T>
void softmax(View<const T> x, View<T> out) {
  for (index_t r = 0; r < x.extent(0); ++r) {
    double largest = static_cast<double>(x(r, 0)), total = 0;
    for (index_t i = 0; i < x.extent(1); ++i)
      largest = math::max(largest, static_cast<double>(x(r, i)));
    for (index_t i = 0; i < x.extent(1); ++i)
      total += math::exp(static_cast<double>(x(r, i)) - largest);
    for (index_t i = 0; i < x.extent(1); ++i)
      out(r, i) = static_cast<T>(math::exp(static_cast<double>(x(r, i)) - largest) / total);
  }
}

/// dx (R, N), summed in double.
template <Real T>
void softmax_backward(View<const T> p, View<const T> dp, View<T> dx) {
  for (index_t r = 0; r < p.extent(0); ++r) {
    double along = 0;
    for (index_t i = 0; i < p.extent(1); ++i)
      along += static_cast<double>(p(r, i)) * static_cast<double>(dp(r, i));
    for (index_t i = 0; i < p.extent(1); ++i)
      dx(r, i) =
          static_cast<T>(static_cast<double>(p(r, i)) * (static_cast<double>(dp(r, i)) - along));
  }
}

}  // namespace rae::reference
