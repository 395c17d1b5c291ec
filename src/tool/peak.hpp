// Reference rates of the machine for benchmarks: the peak rate of multiply-adds for each data type
// and the rate of reading memory, measured in the same run as the code that is compared with them.
// Also the median of the rounds.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "rae/core/cpu.hpp"
#include "rae/core/dtype.hpp"
#include "rae/core/parallel.hpp"
#include "rae/kernels/isa.hpp"
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace rae::bench {

inline double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

inline double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

// Independent chains of multiply-adds: enough of them to hide the latency, in unrolled loops that
// keep them in registers.
struct Chains {
  float (*run)(index_t steps) = nullptr;
  double operations = 0;  // per step; a multiply-add counts as two
};

#if defined(__x86_64__)
__attribute__((target("avx512f"))) inline float f32_chains_avx512(index_t steps) {
  const __m512 factor = _mm512_set1_ps(0.999f), term = _mm512_set1_ps(1e-3f);
  __m512 x[16];
  for (auto& v : x) v = term;
  for (index_t i = 0; i < steps; ++i)
#pragma GCC unroll 16
    for (auto& v : x) v = _mm512_fmadd_ps(v, factor, term);
  for (int c = 1; c < 16; ++c) x[0] = _mm512_add_ps(x[0], x[c]);
  return _mm512_cvtss_f32(x[0]);
}
__attribute__((target("avx512f,avx512bf16"))) inline float bf16_chains_avx512(index_t steps) {
  const auto a = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3f80)),
             b = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3c00));
  __m512 x[24];
  for (auto& v : x) v = _mm512_setzero_ps();
  for (index_t i = 0; i < steps; ++i)
#pragma GCC unroll 24
    for (auto& v : x) v = _mm512_dpbf16_ps(v, a, b);
  for (int c = 1; c < 24; ++c) x[0] = _mm512_add_ps(x[0], x[c]);
  return _mm512_cvtss_f32(x[0]);
}
__attribute__((target("avx512f,avx512vnni"))) inline float int8_chains_avx512(index_t steps) {
  const __m512i a = _mm512_set1_epi32(static_cast<int>(steps & 0x0f0f0f0f)),
                b = _mm512_set1_epi32(0x01010101);
  __m512i x[16];
  for (auto& v : x) v = _mm512_setzero_si512();
  for (index_t i = 0; i < steps; ++i)
#pragma GCC unroll 16
    for (auto& v : x) v = _mm512_dpbusd_epi32(v, a, b);
  for (int c = 1; c < 16; ++c) x[0] = _mm512_add_epi32(x[0], x[c]);
  return 1.0f + static_cast<float>(x[0][0] & 1);
}
__attribute__((target("avx2,fma"))) inline float f32_chains_avx2(index_t steps) {
  const __m256 factor = _mm256_set1_ps(0.999f), term = _mm256_set1_ps(1e-3f);
  __m256 x[12];
  for (auto& v : x) v = term;
  for (index_t i = 0; i < steps; ++i)
#pragma GCC unroll 16
    for (auto& v : x) v = _mm256_fmadd_ps(v, factor, term);
  for (int c = 1; c < 12; ++c) x[0] = _mm256_add_ps(x[0], x[c]);
  return _mm256_cvtss_f32(x[0]);
}
// Tiles of AMX: four accumulators and two operands, each of 16 rows of 64 bytes.
struct alignas(64) AmxShapes {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16};
};
#define RAE_AMX_CHAINS(name, multiply)                                                     \
  __attribute__((target("amx-tile,amx-bf16,amx-int8"))) inline float name(index_t steps) { \
    const AmxShapes shapes;                                                                \
    const std::vector<std::uint8_t> ones(16 * 64, 1);                                      \
    std::vector<std::uint32_t> sums(16 * 16);                                              \
    __asm__ volatile("" : : "g"(&shapes), "g"(ones.data()), "g"(sums.data()) : "memory");  \
    _tile_loadconfig(&shapes);                                                             \
    _tile_zero(0);                                                                         \
    _tile_zero(1);                                                                         \
    _tile_zero(2);                                                                         \
    _tile_zero(3);                                                                         \
    _tile_loadd(4, ones.data(), 64);                                                       \
    _tile_loadd(5, ones.data(), 64);                                                       \
    for (index_t i = 0; i < steps; ++i) {                                                  \
      multiply(0, 4, 5);                                                                   \
      multiply(1, 4, 5);                                                                   \
      multiply(2, 4, 5);                                                                   \
      multiply(3, 4, 5);                                                                   \
    }                                                                                      \
    _tile_stored(0, sums.data(), 64);                                                      \
    _tile_release();                                                                       \
    return 1.0f + static_cast<float>(sums[0] & 1);                                         \
  }
RAE_AMX_CHAINS(bf16_chains_amx, _tile_dpbf16ps)
RAE_AMX_CHAINS(int8_chains_amx, _tile_dpbusd)
#undef RAE_AMX_CHAINS
// AVX-VNNI, available on some CPUs without AVX-512.
__attribute__((target("avx2,avxvnni"))) inline float int8_chains_avx2(index_t steps) {
  const __m256i a = _mm256_set1_epi32(static_cast<int>(steps & 0x0f0f0f0f)),
                b = _mm256_set1_epi32(0x01010101);
  __m256i x[12];
  for (auto& v : x) v = _mm256_setzero_si256();
  for (index_t i = 0; i < steps; ++i)
#pragma GCC unroll 16
    for (auto& v : x) v = _mm256_dpbusd_avx_epi32(v, a, b);
  for (int c = 1; c < 12; ++c) x[0] = _mm256_add_epi32(x[0], x[c]);
  return 1.0f + static_cast<float>(x[0][0] & 1);
}
// AVX2 alone: 8-bit products in pairs that are summed in 16 bits, four before one sum in 32 bits.
__attribute__((target("avx2"))) inline float int8_pair_chains_avx2(index_t steps) {
  const __m256i a = _mm256_set1_epi32(static_cast<int>(steps & 0x0f0f0f0f)),
                b = _mm256_set1_epi32(0x01010101), one = _mm256_set1_epi16(1);
  __m256i x[8];
  for (auto& v : x) v = _mm256_setzero_si256();
  for (index_t i = 0; i < steps; ++i)
#pragma GCC unroll 16
    for (auto& v : x) {
      __m256i sum = one;
#pragma GCC unroll 4
      for (int pair = 0; pair < 4; ++pair) {
        __m256i product;  // volatile, or the compiler would move it out of the loop
        __asm__ volatile("vpmaddubsw %2, %1, %0" : "=x"(product) : "x"(a), "x"(b));
        sum = _mm256_add_epi16(sum, product);
      }
      v = _mm256_add_epi32(v, _mm256_madd_epi16(sum, one));
    }
  for (int c = 1; c < 8; ++c) x[0] = _mm256_add_epi32(x[0], x[c]);
  return 1.0f + static_cast<float>(x[0][0] & 1);
}
#elif defined(__aarch64__)
inline float f32_chains_neon(index_t steps) {
  const float32x4_t factor = vdupq_n_f32(0.999f), term = vdupq_n_f32(1e-3f);
  float32x4_t x[24];
  for (auto& v : x) v = term;
  for (index_t i = 0; i < steps; ++i)
#pragma GCC unroll 24
    for (auto& v : x) v = vfmaq_f32(term, v, factor);
  for (int c = 1; c < 24; ++c) x[0] = vaddq_f32(x[0], x[c]);
  return vgetq_lane_f32(x[0], 0);
}
#if defined(__clang__)
__attribute__((target("dotprod")))
#else
__attribute__((target("arch=armv8.2-a+dotprod")))
#endif
inline float
int8_chains_neon(index_t steps) {
  const int8x16_t a = vdupq_n_s8(static_cast<signed char>(steps & 15)), b = vdupq_n_s8(1);
  int32x4_t x[24];
  for (auto& v : x) v = vdupq_n_s32(0);
  for (index_t i = 0; i < steps; ++i)
#pragma GCC unroll 24
    for (auto& v : x) __asm__("sdot %0.4s, %1.16b, %2.16b" : "+w"(v) : "w"(a), "w"(b));
  for (int c = 1; c < 24; ++c) x[0] = vaddq_s32(x[0], x[c]);
  return 1.0f + static_cast<float>(vgetq_lane_s32(x[0], 0) & 1);
}
#endif
inline float f32_chains_baseline(index_t steps) {
  typedef float Vector __attribute__((vector_size(16)));
  Vector x[12] = {};
  for (index_t i = 0; i < steps; ++i)
#pragma GCC unroll 16
    for (auto& v : x) v = v * 0.999f + 1e-3f;
  for (int c = 1; c < 12; ++c) x[0] += x[c];
  return x[0][0];
}

/// Chains of vector dot products of 8-bit integers, with the instructions that the kernels in use
/// have for them; `run` is null if they have none.
inline Chains int8_chains() {
  [[maybe_unused]] const Isa isa = active_isa();
#if defined(__x86_64__)
  if (isa >= Isa::avx512_vnni) return {int8_chains_avx512, 2.0 * 16 * 64};
  if (isa == Isa::avx2_vnni) return {int8_chains_avx2, 2.0 * 12 * 32};
#elif defined(__aarch64__)
  if (isa == Isa::neon_dot) return {int8_chains_neon, 2.0 * 24 * 16};
#endif
  return {};
}

/// Chains of the widest instructions of the kernels in use for a data type. Types without
/// instructions of their own use those of f32. int8w and int4 count half the operations of int8
/// vectors, because their products are computed in 16 bits.
inline Chains chains_of([[maybe_unused]] DType type) {
  [[maybe_unused]] const Isa isa = active_isa();
#if defined(__x86_64__)
  if (type == DType::bf16 && isa == Isa::avx512_amx)
    return {bf16_chains_amx, 2.0 * 4 * 16 * 16 * 32};
  if (type == DType::int8 && isa == Isa::avx512_amx)
    return {int8_chains_amx, 2.0 * 4 * 16 * 16 * 64};
  if (type == DType::bf16 && isa == Isa::avx512_bf16) return {bf16_chains_avx512, 2.0 * 24 * 32};
  if (type == DType::int8 && isa == Isa::avx2) return {int8_pair_chains_avx2, 2.0 * 8 * 4 * 32};
#endif
  Chains integers = int8_chains();
  if (type != DType::int8) integers.operations /= 2;
  if (integers.run && (type == DType::int8 || type == DType::int8w || type == DType::int4))
    return integers;
#if defined(__x86_64__)
  if (isa >= Isa::avx512) return {f32_chains_avx512, 2.0 * 16 * 16};
  if (isa >= Isa::avx2) return {f32_chains_avx2, 2.0 * 12 * 8};
#elif defined(__aarch64__)
  if (isa >= Isa::neon) return {f32_chains_neon, 2.0 * 24 * 4};
#endif
  return {f32_chains_baseline, 2.0 * 12 * 4};
}

/// Operations per second of all threads together: the fastest of a few bursts of some milliseconds,
/// since other programs may slow down one of them.
inline double peak(DType type, int threads) {
  constexpr index_t kSteps = 400000;
  constexpr int kBursts = 3;
  const Chains chains = chains_of(type);
  std::vector<float> sink(static_cast<std::size_t>(threads));
  double best = 0;
  for (int burst = 0; burst < kBursts; ++burst) {
    const double start = seconds();
    parallel_for(threads, 1,
                 [&](index_t t) { sink[static_cast<std::size_t>(t)] = chains.run(kSteps); });
    best = std::max(
        best, chains.operations * static_cast<double>(kSteps) * threads / (seconds() - start));
  }
  return sink[0] > 0 ? best : 0.0;
}

/// Bytes per second at which all threads together read `memory`, which should be much larger than
/// the caches.
inline double read_rate(std::span<const std::uint64_t> memory) {
  const ParallelLoop loop(static_cast<index_t>(memory.size()), index_t{1} << 16);
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(loop.slots()));
  const double start = seconds();
  loop.run([&](index_t begin, index_t end, index_t slot) {
    std::uint64_t sum[8] = {};  // independent sums, so that no addition waits for another
    index_t i = begin;
    for (; i + 8 <= end; i += 8)
      for (int j = 0; j < 8; ++j) sum[j] += memory[static_cast<std::size_t>(i + j)];
    for (; i < end; ++i) sum[0] += memory[static_cast<std::size_t>(i)];
    for (const std::uint64_t each : sum) sums[static_cast<std::size_t>(slot)] += each;
  });
  const double elapsed = seconds() - start;
  volatile std::uint64_t sink = 0;  // keeps the compiler from removing the unused sums
  for (const std::uint64_t each : sums) sink = sink + each;
  return static_cast<double>(memory.size_bytes()) / elapsed;
}

}  // namespace rae::bench
