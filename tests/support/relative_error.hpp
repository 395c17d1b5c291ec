// The error of values as a share of their size.
#pragma once

#include <cmath>

#include "rae/core/tensor.hpp"

namespace rae::test {

/// Root mean square of the difference of tensors of equal shapes, relative to that of `expected`.
inline double relative_error(const Tensor<float>& got, const Tensor<float>& expected) {
  double sum = 0, square = 0;
  for (index_t i = 0; i < got.numel(); ++i) {
    sum += std::pow(static_cast<double>(got[i]) - static_cast<double>(expected[i]), 2);
    square += std::pow(static_cast<double>(expected[i]), 2);
  }
  return std::sqrt(sum / square);
}

}  // namespace rae::test
