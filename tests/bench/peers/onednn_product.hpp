// A product of oneDNN with weights in its own packed layout, with an interface that shows none of
// its types.
#pragma once

#include <memory>

#include "rae/core/dtype.hpp"
#include "rae/core/shape.hpp"

namespace rae::bench {

/// Computes out (M, N) f32 = a (M, K) W^T for W (N, K), in f32, bf16, or unsigned times signed 8
/// bits; a has the same type.
class OneDnnProduct {
 public:
  OneDnnProduct(DType type, index_t m, index_t n, index_t k, const float* weight);
  ~OneDnnProduct();
  void operator()(const void* a, float* out) const;

  /// Whether oneDNN multiplies this type on this processor: bf16 needs AVX-512.
  [[nodiscard]] static bool supports(DType type);

  /// Sets the number of threads of all products, if oneDNN runs on OpenMP as in Debian.
  static void set_threads(int threads);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace rae::bench
