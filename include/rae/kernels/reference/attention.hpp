// Softmax attention as plain loops: the oracle of the tests.
#pragma once

#include <cmath>
#include <vector>

#include "rae/core/view.hpp"

namespace rae::reference {

/// out (B, T, H*hd) from qkv (B, T, 3*H*hd), without rotation.
template <class T>
void attention(View<const T> qkv, index_t heads, View<T> out) {
  const index_t tokens = qkv.extent(1), width = qkv.extent(2) / 3, dim = width / heads;
  std::vector<double> p(static_cast<std::size_t>(tokens));
  for (index_t b = 0; b < qkv.extent(0); ++b)
    for (index_t h = 0; h < heads; ++h)
      for (index_t i = 0; i < tokens; ++i) {
        double total = 0;
        for (index_t j = 0; j < tokens; ++j) {
          double dot = 0;
          for (index_t c = 0; c < dim; ++c)
            dot += static_cast<double>(qkv(b, i, h * dim + c)) * static_cast<double>(qkv(b, j, width + h * dim + c));
          p[static_cast<std::size_t>(j)] = std::exp(dot / std::sqrt(static_cast<double>(dim)));
          total += p[static_cast<std::size_t>(j)];
        }
        for (index_t c = 0; c < dim; ++c) {
          double sum = 0;
          for (index_t j = 0; j < tokens; ++j)
            sum += p[static_cast<std::size_t>(j)] / total * static_cast<double>(qkv(b, j, 2 * width + h * dim + c));
          out(b, i, h * dim + c) = static_cast<T>(sum);
        }
      }
}

}  // namespace rae::reference
