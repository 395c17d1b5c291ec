// OpenBLAS, loaded at run time if CMake found it. Its AVX-512 variant is selected explicitly,
// because OpenBLAS does not choose it on CPUs that are newer than OpenBLAS.
#pragma once

#include <dlfcn.h>

#include <cstdlib>
#include <string>

#include "rae/core/cpu.hpp"
#include "rae/core/shape.hpp"

namespace rae::bench {

class OpenBlas {
 public:
  OpenBlas() {
#if defined(RAE_BENCH_OPENBLAS)
    if (supports(Isa::avx512)) ::setenv("OPENBLAS_CORETYPE", "SkylakeX", 1);
    void* library = ::dlopen(RAE_BENCH_OPENBLAS, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return;
    sgemm_ = reinterpret_cast<decltype(sgemm_)>(::dlsym(library, "cblas_sgemm"));
    set_threads_ =
        reinterpret_cast<decltype(set_threads_)>(::dlsym(library, "openblas_set_num_threads"));
    core_ = reinterpret_cast<decltype(core_)>(::dlsym(library, "openblas_get_corename"));
#endif
  }

  explicit operator bool() const { return sgemm_ && set_threads_; }

  /// The variant that OpenBLAS uses, or "not found".
  [[nodiscard]] std::string core() const {
    return !*this ? "not found" : core_ ? core_() : "found";
  }

  void set_threads(int threads) const { set_threads_(threads); }

  /// Computes out (M, N) = a * b, row-major. A transposed operand is stored as its transpose, (K,
  /// M) or (N, K).
  void product(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, const float* a,
               const float* b, float* out) const {
    constexpr int kRowMajor = 101, kAsStored = 111, kTransposed = 112;
    sgemm_(kRowMajor, transpose_a ? kTransposed : kAsStored, transpose_b ? kTransposed : kAsStored,
           static_cast<int>(m), static_cast<int>(n), static_cast<int>(k), 1.0f, a,
           static_cast<int>(transpose_a ? m : k), b, static_cast<int>(transpose_b ? k : n), 0.0f,
           out, static_cast<int>(n));
  }

 private:
  // order, transpositions, m, n, k, alpha, a, lda, b, ldb, beta, out, ldo
  void (*sgemm_)(int, int, int, int, int, int, float, const float*, int, const float*, int, float,
                 float*, int) = nullptr;
  void (*set_threads_)(int) = nullptr;
  char* (*core_)() = nullptr;
};

}  // namespace rae::bench
