// Plain-loop twin of kernels/gate.hpp.
#pragma once

#include "rae/kernels/gate.hpp"

namespace rae::reference {

/// out (R, D) = x + gate * y.
template <Real T>
void gated_add(View<const T> x, Rows<const T> gate, View<const T> y, View<T> out) {
  const index_t rows = y.extent(0), per_group = rows / gate.groups;
  for (index_t r = 0; r < rows; ++r)
    for (index_t i = 0; i < y.extent(1); ++i)
      out(r, i) = x(r, i) + gate.data[r / per_group * gate.stride + i] * y(r, i);
}

/// dy (R, D), overwritten; dgate (groups, D), added to.
template <Real T>
void gated_add_backward(Rows<const T> gate, View<const T> y, View<const T> dout, View<T> dy,
                        Rows<T> dgate) {
  const index_t rows = y.extent(0), per_group = rows / gate.groups;
  for (index_t g = 0; g < gate.groups; ++g)
    for (index_t i = 0; i < y.extent(1); ++i) {
      double sum = 0;
      for (index_t r = g * per_group; r < (g + 1) * per_group; ++r) {
        dy(r, i) = gate.data[g * gate.stride + i] * dout(r, i);
        sum += static_cast<double>(dout(r, i)) * static_cast<double>(y(r, i));
      }
      dgate.data[g * dgate.stride + i] += static_cast<T>(sum);
    }
}

}  // namespace rae::reference
