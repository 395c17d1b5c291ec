// Philox4x32-10, a counter-based random generator: a number depends only on (seed, stream, index).
//
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011),
// section 4.2.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "rae/core/box_muller.hpp"
#include "rae/core/math.hpp"
#include "rae/core/shape.hpp"

namespace rae {

namespace detail {

/// Ten rounds on kCounters counters, stored as (4, kCounters) for vectorisation.
template <std::size_t kCounters>
constexpr void philox_rounds(std::uint32_t (&x)[4][kCounters],
                             std::array<std::uint32_t, 2> key) noexcept {
  constexpr std::uint32_t kFirst = 0xD2511F53, kSecond = 0xCD9E8D57;
  for (int round = 0; round < 10; ++round) {
    // Two loops, because g++ does not vectorise a single one.
    std::uint64_t first[kCounters] = {}, second[kCounters] = {};
    for (std::size_t j = 0; j < kCounters; ++j) {
      first[j] = std::uint64_t{kFirst} * x[0][j];
      second[j] = std::uint64_t{kSecond} * x[2][j];
    }
    for (std::size_t j = 0; j < kCounters; ++j) {
      x[0][j] = static_cast<std::uint32_t>(second[j] >> 32) ^ x[1][j] ^ key[0];
      x[1][j] = static_cast<std::uint32_t>(second[j]);
      x[2][j] = static_cast<std::uint32_t>(first[j] >> 32) ^ x[3][j] ^ key[1];
      x[3][j] = static_cast<std::uint32_t>(first[j]);
    }
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
}

}  // namespace detail

/// The Philox4x32-10 bijection: ten rounds on a 128-bit counter with a 64-bit key.
[[nodiscard]] constexpr std::array<std::uint32_t, 4> philox4x32(
    std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) noexcept {
  std::uint32_t x[4][1] = {{counter[0]}, {counter[1]}, {counter[2]}, {counter[3]}};
  detail::philox_rounds(x, key);
  return {x[0][0], x[1][0], x[2][0], x[3][0]};
}

/// Random numbers by index. Two objects with equal seed and stream give the same number for the
/// same index, in any order and on any thread.
class Philox {
 public:
  /// `stream` separates independent uses of one seed (one per picture, per training step, ...).
  constexpr explicit Philox(std::uint64_t seed, std::uint64_t stream = 0) noexcept
      : seed_(seed), stream_(stream) {}

  /// 32 random bits.
  [[nodiscard]] constexpr std::uint32_t bits(std::uint64_t index) const noexcept {
    return block(index / 4)[index % 4];
  }

  /// Uniform in [0, 1), a multiple of 2^-24.
  [[nodiscard]] constexpr float uniform(std::uint64_t index) const noexcept {
    return static_cast<float>(bits(index) >> 8) * 0x1p-24f;
  }

  /// Uniform integer in [0, n) for 1 <= n <= 2^32; the bias is below n / 2^32.
  [[nodiscard]] constexpr std::uint64_t below(std::uint64_t index, std::uint64_t n) const noexcept {
    return (std::uint64_t{bits(index)} * n) >> 32;
  }

  /// Standard normal, by the Box-Muller transform of a pair of uniforms.
  [[nodiscard]] float normal(std::uint64_t index) const noexcept {
    const auto b = block(index / 4);
    float pair[2];
    detail::box_muller<1>(&b[index & 2], &b[(index & 2) + 1], &pair[0], &pair[1]);
    return pair[index & 1];
  }

  /// Fills `out[i]` with `uniform(first + i)`.
  void fill_uniform(std::span<float> out, std::uint64_t first = 0) const noexcept {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = uniform(first + i);
  }

  /// Fills `out[i]` with `normal(first + i)`, several times faster than single calls.
  void fill_normal(std::span<float> out, std::uint64_t first = 0) const noexcept {
    fill(out, first);
  }
  /// The same numbers, converted to double.
  void fill_normal(std::span<double> out, std::uint64_t first = 0) const noexcept {
    fill(out, first);
  }

 private:
  template <class T>
  void fill(std::span<T> out, std::uint64_t first) const noexcept {
    for (std::size_t done = 0; done < out.size();) {
      float chunk[4 * kBlocks];
      normals((first + done) / 4, chunk);
      const std::size_t begin = (first + done) % 4,
                        count = math::min(4 * kBlocks - begin, out.size() - done);
      for (std::size_t i = 0; i < count; ++i) out[done++] = static_cast<T>(chunk[begin + i]);
    }
  }

  [[nodiscard]] constexpr std::array<std::uint32_t, 4> block(std::uint64_t counter) const noexcept {
    return philox4x32(
        {static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32),
         static_cast<std::uint32_t>(stream_), static_cast<std::uint32_t>(stream_ >> 32)},
        {static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32)});
  }

  static constexpr std::size_t kBlocks = 16;  // blocks of four numbers that are computed together

  /// The 4 * kBlocks normal numbers of the blocks counter, counter + 1, ...: those that `normal`
  /// gives, computed in vectorisable loops over blocks.
  void normals(std::uint64_t counter, float* out) const noexcept {
    std::uint32_t x[4][kBlocks];  // (lane, block)
    for (std::size_t j = 0; j < kBlocks; ++j) {
      x[0][j] = static_cast<std::uint32_t>(counter + j);
      x[1][j] = static_cast<std::uint32_t>((counter + j) >> 32);
      x[2][j] = static_cast<std::uint32_t>(stream_);
      x[3][j] = static_cast<std::uint32_t>(stream_ >> 32);
    }
    detail::philox_rounds(
        x, {static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32)});
    float pairs[4][kBlocks];
    for (const int lane : {0, 2})
      detail::box_muller<kBlocks>(x[lane], x[lane + 1], pairs[lane], pairs[lane + 1]);
    for (std::size_t j = 0; j < kBlocks; ++j)
      for (std::size_t lane = 0; lane < 4; ++lane) out[4 * j + lane] = pairs[lane][j];
  }

  std::uint64_t seed_, stream_;
};

}  // namespace rae
