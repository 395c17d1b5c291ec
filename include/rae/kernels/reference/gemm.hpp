// GEMM as three plain loops: the oracle of the tests.
#pragma once

#include "rae/core/view.hpp"

namespace rae::reference {

/// out (M, N) = a (M, K) * b (K, N), summed in double.
template <class T>
void gemm(View<const T> a, View<const T> b, View<T> out) {
  for (index_t i = 0; i < a.extent(0); ++i)
    for (index_t j = 0; j < b.extent(1); ++j) {
      double sum = 0;
      for (index_t k = 0; k < a.extent(1); ++k) sum += static_cast<double>(a(i, k)) * static_cast<double>(b(k, j));
      out(i, j) = static_cast<T>(sum);
    }
}

}  // namespace rae::reference
