// Eigen's matrix products for the GEMM benchmark, in a shared library of its own with hidden
// symbols: the Eigen code compiled for this processor must not be mixed with the Eigen code in the
// library.
#include "bench/peers/eigen_product.hpp"

#include <Eigen/Core>

namespace {
using Matrix = Eigen::Map<Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
using ConstMatrix =
    Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
}  // namespace

extern "C" __attribute__((visibility("default"))) void eigen_product(bool transpose_a,
                                                                     bool transpose_b, long m,
                                                                     long n, long k, const float* a,
                                                                     const float* b, float* out,
                                                                     int threads) {
  Eigen::setNbThreads(threads);
  const ConstMatrix left(a, transpose_a ? k : m, transpose_a ? m : k),
      right(b, transpose_b ? n : k, transpose_b ? k : n);
  Matrix result(out, m, n);
  if (transpose_a)
    result.noalias() = left.transpose() * right;
  else if (transpose_b)
    result.noalias() = left * right.transpose();
  else
    result.noalias() = left * right;
}
