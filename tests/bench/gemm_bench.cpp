// f32 matrix products against the machine's multiply-add peak, Eigen and OpenBLAS, on the products of a linear layer.
//
//   bench_gemm [ROUNDS] [FILTER]      FILTER: part of a line's name, for example 2048 or "dW"
//
// In every round each line measures the peak and then all candidates, so that drift of the machine hits all alike; medians of the
// rounds are printed. Weights rotate over kColdBytes of copies, cold as in a deep model. OpenBLAS is loaded at run time when CMake
// found it, in its AVX-512 variant where the machine has AVX-512, since it does not choose that by itself on CPUs newer than it.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "bench/peak.hpp"
#include "rae/core/parallel.hpp"
#include "rae/core/random.hpp"
#include "rae/kernels/gemm.hpp"
#include "rae/kernels/isa.hpp"

#if defined(RAE_BENCH_EIGEN)
extern "C" void eigen_product(bool transpose_a, bool transpose_b, long m, long n, long k, const float* a, const float* b, float* out,
                              int threads);
#endif

namespace {

using rae::DType;
using rae::index_t;
using rae::Shape;
using rae::Tensor;
using rae::View;
using rae::bench::median;
using rae::bench::peak;
using rae::bench::seconds;

constexpr index_t kColdBytes = index_t{96} << 20;
constexpr double kSampleSeconds = 0.02;

// --- OpenBLAS ----------------------------------------------------------------------------------------------------------------
struct OpenBlas {
  // order (row-major 101), transpositions (no 111, yes 112), m, n, k, alpha, a, lda, b, ldb, beta, out, ldo
  void (*sgemm)(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int) = nullptr;
  void (*set_threads)(int) = nullptr;
  char* (*core)() = nullptr;

  OpenBlas() {
#if defined(RAE_OPENBLAS)
    if (rae::supports(rae::Isa::avx512)) setenv("OPENBLAS_CORETYPE", "SkylakeX", 1);
    void* library = dlopen(RAE_OPENBLAS, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return;
    sgemm = reinterpret_cast<decltype(sgemm)>(dlsym(library, "cblas_sgemm"));
    set_threads = reinterpret_cast<decltype(set_threads)>(dlsym(library, "openblas_set_num_threads"));
    core = reinterpret_cast<decltype(core)>(dlsym(library, "openblas_get_corename"));
#endif
  }
  explicit operator bool() const { return sgemm && set_threads; }
};

// --- One product, by everybody -----------------------------------------------------------------------------------------------
enum class Product { forward, input_gradient, weight_gradient };  // X W^T, dY W, dY^T X

struct Line {
  Product product;
  index_t m, n, k;  // out (m, n), k summed
};

struct Candidate {
  std::string name;
  std::function<void(index_t copy)> run;
};

Tensor<float> random_matrix(index_t rows, index_t columns, std::uint64_t seed) {
  Tensor<float> out(Shape{rows, columns});
  rae::Philox(seed).fill_uniform(out.span());
  return out;
}

double rate(const Line& line, const Candidate& candidate, index_t copies) {
  const double work = 2.0 * static_cast<double>(line.m * line.n * line.k);
  candidate.run(0);
  index_t count = 0;
  const double start = seconds();
  double elapsed = 0;
  while (elapsed < kSampleSeconds) {
    candidate.run(++count % copies);
    elapsed = seconds() - start;
  }
  return work * static_cast<double>(count) / elapsed;
}

void measure(const Line& line, const std::string& name, int threads, int rounds, const OpenBlas& blas) {
  const bool ta = line.product == Product::weight_gradient, tb = line.product == Product::forward;
  const index_t m = line.m, n = line.n, k = line.k;
  // Only weights are cold; in a weight gradient both operands were just computed.
  const index_t copies = ta ? 1 : std::max<index_t>(1, kColdBytes / (n * k * index_t{sizeof(float)}));
  const Tensor<float> a = random_matrix(ta ? k : m, ta ? m : k, 1);
  std::vector<Tensor<float>> b;
  std::vector<rae::PackedMatrix<float>> packed;
  for (index_t i = 0; i < copies; ++i) {
    b.push_back(random_matrix(tb ? n : k, tb ? k : n, 2));
    const View<const float> view = std::as_const(b.back()).view();
    if (!ta) packed.emplace_back(tb ? view.transposed() : view);
  }
  Tensor<float> out(Shape{m, n});
  const View<float> target = out.view();
  const View<const float> left = ta ? a.view().transposed() : a.view();
  const auto right = [&](index_t copy) { return std::as_const(b[static_cast<std::size_t>(copy)]).view(); };

  std::vector<Candidate> candidates{
      {"gemm", [&](index_t copy) { rae::gemm<float>(left, tb ? right(copy).transposed() : right(copy), target); }}};
  if (!ta) candidates.push_back({"packed", [&](index_t copy) { rae::gemm<float>(left, packed[static_cast<std::size_t>(copy)], target); }});
#if defined(RAE_BENCH_EIGEN)
  candidates.push_back(
      {"eigen", [&](index_t copy) { eigen_product(ta, tb, m, n, k, a.data(), right(copy).data(), target.data(), threads); }});
#endif
  if (blas) {
    blas.set_threads(threads);
    candidates.push_back({"openblas", [&](index_t copy) {
                            blas.sgemm(101, ta ? 112 : 111, tb ? 112 : 111, static_cast<int>(m), static_cast<int>(n), static_cast<int>(k),
                                       1.0f, a.data(), static_cast<int>(a.extent(1)), right(copy).data(),
                                       static_cast<int>(right(copy).extent(1)), 0.0f, target.data(), static_cast<int>(n));
                          }});
  }

  std::vector<double> peaks;
  std::vector<std::vector<double>> rates(candidates.size()), fractions(candidates.size());
  for (int round = 0; round < rounds; ++round) {
    peaks.push_back(peak(DType::f32, threads));
    for (std::size_t c = 0; c < candidates.size(); ++c) {
      rates[c].push_back(rate(line, candidates[c], copies));
      fractions[c].push_back(rates[c].back() / peaks.back());
    }
  }
  std::printf("%-22s %d  %6.0f ", name.c_str(), threads, median(peaks) / 1e9);
  for (std::size_t c = 0; c < candidates.size(); ++c) {
    if (ta && c == 1) std::printf("        -     ");
    std::printf(" %6.0f (%.2f)", median(rates[c]) / 1e9, median(fractions[c]));
  }
  if (blas) {
    std::vector<double> ratios;  // of our best variant, in the same round
    for (std::size_t i = 0; i < peaks.size(); ++i)
      ratios.push_back((ta ? rates[0][i] : std::max(rates[0][i], rates[1][i])) / rates.back()[i]);
    std::printf("  %.2f", median(ratios));
  }
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 7;
  const std::string filter = argc > 2 ? argv[2] : "";
  const OpenBlas blas;
  std::vector<Line> lines;
  for (const auto& [n, k] : std::vector<std::pair<index_t, index_t>>{
           {1152, 1152}, {3456, 1152}, {4608, 1152}, {1152, 4608}, {6144, 1152}, {2048, 2048}, {8192, 2048}})
    lines.push_back({Product::forward, 256, n, k});
  lines.push_back({Product::forward, 261, 3072, 768});
  for (const auto& [n, k] : std::vector<std::pair<index_t, index_t>>{
           {96, 96}, {288, 96}, {192, 192}, {384, 96}, {768, 192}, {384, 384}, {96, 768}, {768, 768}}) {
    lines.push_back({Product::forward, 2048, n, k});          // Y (M, N) = X (M, K) W^T
    lines.push_back({Product::input_gradient, 2048, k, n});   // dX (M, K) = dY (M, N) W
    lines.push_back({Product::weight_gradient, n, k, 2048});  // dW (N, K) = dY^T X
  }
  // Those of bench_train_step.
  for (const auto& [n, k] : std::vector<std::pair<index_t, index_t>>{{1152, 384}, {384, 384}, {2048, 384}, {384, 1024}}) {
    lines.push_back({Product::forward, 4096, n, k});
    lines.push_back({Product::input_gradient, 4096, k, n});
    lines.push_back({Product::weight_gradient, n, k, 4096});
  }
  std::printf("kernels: %s, OpenBLAS: %s. GFLOP/s and, in brackets, the fraction of the peak; medians of %d rounds.\n",
              std::string(rae::name_of(rae::active_isa())).c_str(), blas ? blas.core ? blas.core() : "yes" : "not found", rounds);
  std::printf("%-22s %s  %6s  %s\n", "m x n x k", "T", "peak",
              "gemm, packed, Eigen and OpenBLAS where present, ratio of our best to OpenBLAS");
  for (const int threads : {1, 2}) {
    rae::set_num_threads(threads);
    for (const Line& line : lines) {
      const char* kind = line.product == Product::forward ? "Y " : line.product == Product::input_gradient ? "dX" : "dW";
      const std::string name =
          std::string(kind) + " " + std::to_string(line.m) + "x" + std::to_string(line.n) + "x" + std::to_string(line.k);
      if (name.find(filter) != std::string::npos) measure(line, name, threads, rounds, blas);
    }
  }
  return 0;
}
