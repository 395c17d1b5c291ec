// The steps from three plain loops to the matrix product of the library, and the gain of each.
// docs/03_kernels.md explains them.
//
//   bench_ladder [ROUNDS] [--json FILE]
//
// Each rung computes out (M, N) = a (M, K) * b (K, N) in f32, with the shape of a layer of
// DiT^DH-XL. This file is compiled for the machine that it runs on, so that the compiler may use
// the widest vectors on every rung. In each round, every rung runs after a burst that measures the
// peak. Printed are medians of the rounds. b rotates over kColdBytes of copies, like the weights of
// a deep model.
#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "bench/arguments.hpp"
#include "rae/core/random.hpp"
#include "rae/kernels/gemm.hpp"
#include "tool/peak.hpp"

namespace {

using rae::index_t;
using rae::Shape;
using rae::Tensor;
using rae::bench::median;
using rae::bench::seconds;

constexpr index_t kM = 256, kN = 4608, kK = 1152;
constexpr index_t kColdBytes = index_t{96} << 20;

// 1. The definition: each element is a sum over k.
void three_loops(const float* a, const float* b, float* out) {
  for (index_t i = 0; i < kM; ++i)
    for (index_t j = 0; j < kN; ++j) {
      float sum = 0;
      for (index_t k = 0; k < kK; ++k) sum += a[i * kK + k] * b[k * kN + j];
      out[i * kN + j] = sum;
    }
}

// 2. The same loops in another order: the innermost one runs along rows.
void along_rows(const float* a, const float* b, float* __restrict out) {
  std::fill_n(out, kM * kN, 0.0f);
  for (index_t i = 0; i < kM; ++i)
    for (index_t k = 0; k < kK; ++k)
      for (index_t j = 0; j < kN; ++j) out[i * kN + j] += a[i * kK + k] * b[k * kN + j];
}

// 3. The same in blocks, so that elements are still in the nearest cache when they are reused.
void in_blocks(const float* a, const float* b, float* __restrict out) {
  constexpr index_t kColumns = 128, kDepth = 64;  // a block of b is 32 KiB
  static_assert(kN % kColumns == 0 && kK % kDepth == 0);
  std::fill_n(out, kM * kN, 0.0f);
  for (index_t j0 = 0; j0 < kN; j0 += kColumns)
    for (index_t k0 = 0; k0 < kK; k0 += kDepth)
      for (index_t i = 0; i < kM; ++i)
        for (index_t k = k0; k < k0 + kDepth; ++k)
          for (index_t j = j0; j < j0 + kColumns; ++j)
            out[i * kN + j] += a[i * kK + k] * b[k * kN + j];
}

// 4. A tile of sums stays in registers for all of k, and b is packed in the order in which the tile
// reads it.
#if defined(__AVX512F__)
constexpr index_t kLanes = 16, kRows = 8, kVectors = 3;
#elif defined(__AVX__)
constexpr index_t kLanes = 8, kRows = 4, kVectors = 2;
#else
constexpr index_t kLanes = 4, kRows = 4, kVectors = 2;
#endif
constexpr index_t kWidth = kLanes * kVectors;
typedef float Vector __attribute__((vector_size(kLanes * sizeof(float)), aligned(4)));
static_assert(kN % kWidth == 0 && kM % kRows == 0);

/// Panels of kWidth columns: [N / kWidth][K][kWidth].
std::vector<float> panels_of(const float* b) {
  std::vector<float> panels(static_cast<std::size_t>(kK * kN));
  auto next = panels.begin();
  for (index_t j = 0; j < kN; j += kWidth)
    for (index_t k = 0; k < kK; ++k) next = std::copy_n(b + k * kN + j, kWidth, next);
  return panels;
}

/// Computes the columns of the panels `first` to `last` - 1.
void register_tile(const float* a, const float* panels, float* out, index_t first, index_t last) {
  for (index_t p = first; p < last; ++p) {
    const float* const panel = panels + p * kK * kWidth;
    for (index_t i = 0; i < kM; i += kRows) {
      Vector sum[kRows][kVectors] = {};
      for (index_t k = 0; k < kK; ++k)
#pragma GCC unroll 8
        for (index_t r = 0; r < kRows; ++r)
#pragma GCC unroll 8
          for (index_t v = 0; v < kVectors; ++v)
            sum[r][v] += a[(i + r) * kK + k] *
                         *reinterpret_cast<const Vector*>(panel + k * kWidth + v * kLanes);
      for (index_t r = 0; r < kRows; ++r)
        for (index_t v = 0; v < kVectors; ++v)
          *reinterpret_cast<Vector*>(out + (i + r) * kN + p * kWidth + v * kLanes) = sum[r][v];
    }
  }
}

struct Rung {
  std::string name;
  int threads;
  std::function<void(std::size_t copy)> run;
  std::vector<double> rates{}, fractions{};
};

/// The largest difference between two results, or infinity if one is not finite.
double difference(const Tensor<float>& a, const Tensor<float>& b) {
  double most = 0;
  for (index_t i = 0; i < a.numel(); ++i) {
    const double d = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    most = std::isfinite(d) ? std::max(most, d) : INFINITY;
  }
  return most;
}

}  // namespace

int main(int argc, char** argv) {
  const rae::bench::Arguments arguments(argc, argv, 5);
  const auto copies = static_cast<std::size_t>(kColdBytes / (kN * kK * index_t{sizeof(float)}));
  // (M, K), (K, N), (M, N), (M, N)
  Tensor<float> a(Shape{kM, kK}), b(Shape{kK, kN}), out(Shape{kM, kN}), expected(Shape{kM, kN});
  rae::Philox(1).fill_normal(a.span());
  rae::Philox(2).fill_normal(b.span());
  const std::vector<std::vector<float>> plain(
      copies, {std::as_const(b).span().begin(), std::as_const(b).span().end()});
  const std::vector<std::vector<float>> panels(copies, panels_of(std::as_const(b).data()));
  std::vector<rae::PackedMatrix<float>> packed;
  for (std::size_t i = 0; i < copies; ++i) packed.emplace_back(std::as_const(b).view());
  const float* const left = std::as_const(a).data();
  float* const target = out.data();
  const auto ours = [&](std::size_t copy) {
    rae::gemm<float>(std::as_const(a).view(), packed[copy], out.view());
  };
  const auto tiled = [&](std::size_t copy) {
    rae::parallel_ranges(kN / kWidth, 1, [&](index_t begin, index_t end) {
      register_tile(left, panels[copy].data(), target, begin, end);
    });
  };

  std::vector<Rung> rungs{
      {"three loops", 1, [&](std::size_t copy) { three_loops(left, plain[copy].data(), target); }},
      {"along rows", 1, [&](std::size_t copy) { along_rows(left, plain[copy].data(), target); }},
      {"in blocks", 1, [&](std::size_t copy) { in_blocks(left, plain[copy].data(), target); }},
      {"panels and tile", 1, tiled},
      {"rae::gemm", 1, ours},
      {"panels and tile, 2 threads", 2, tiled},
      {"rae::gemm, 2 threads", 2, ours}};
  three_loops(left, plain[0].data(), expected.data());
  for (const Rung& rung : rungs) {
    rae::set_num_threads(rung.threads);
    rung.run(0);
    if (const double d = difference(out, expected); !(d < 1e-2)) {
      std::fprintf(stderr, "%s: differs from the three loops by %g\n", rung.name.c_str(), d);
      return 1;
    }
  }
  for (int round = 0; round < arguments.rounds; ++round)
    for (Rung& rung : rungs) {
      rae::set_num_threads(rung.threads);
      const double peak = rae::bench::peak(rae::DType::f32, rung.threads);
      std::size_t count = 0;
      double elapsed = 0;
      for (const double start = seconds(); elapsed < 0.05; elapsed = seconds() - start)
        rung.run(++count % copies);
      rung.rates.push_back(2.0 * kM * kN * kK * static_cast<double>(count) / elapsed);
      rung.fractions.push_back(rung.rates.back() / peak);
    }

  rae::bench::Records records;
  std::printf("%td x %td x %td in f32, kernels %s, medians of %d rounds\n", kM, kN, kK,
              std::string(rae::name_of(rae::active_isa())).c_str(), arguments.rounds);
  std::printf("%-28s %10s %8s\n", "", "GFLOP/s", "of peak");
  for (const Rung& rung : rungs) {
    std::printf("%-28s %10.1f %8.3f\n", rung.name.c_str(), median(rung.rates) / 1e9,
                median(rung.fractions));
    records.add({{"rung", rung.name},
                 {"threads", rung.threads},
                 {"flops", median(rung.rates)},
                 {"fraction", median(rung.fractions)}});
  }
  return records.write(arguments) ? 0 : 1;
}
