// Philox4x32-10, a counter-based random generator: a value depends on (seed, stream, index) only.
//
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), section 4.2.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <span>

#include "rae/core/shape.hpp"

namespace rae {

/// The Philox4x32-10 bijection: ten rounds on a 128-bit counter with a 64-bit key.
[[nodiscard]] constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                                std::array<std::uint32_t, 2> key) noexcept {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
               static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

/// Random numbers by index. Two objects with equal seed and stream agree on every index, in any order, on any thread.
class Philox {
 public:
  /// `stream` separates independent uses of one seed (one per picture, per training step, ...).
  constexpr explicit Philox(std::uint64_t seed, std::uint64_t stream = 0) noexcept : seed_(seed), stream_(stream) {}

  /// 32 random bits.
  [[nodiscard]] constexpr std::uint32_t bits(std::uint64_t index) const noexcept { return block(index / 4)[index % 4]; }

  /// Uniform in [0, 1), a multiple of 2^-24.
  [[nodiscard]] constexpr float uniform(std::uint64_t index) const noexcept { return static_cast<float>(bits(index) >> 8) * 0x1p-24f; }

  /// Uniform integer in [0, n) for 1 <= n <= 2^32; the bias is below n / 2^32.
  [[nodiscard]] constexpr std::uint64_t below(std::uint64_t index, std::uint64_t n) const noexcept {
    return (std::uint64_t{bits(index)} * n) >> 32;
  }

  /// Standard normal, by Box and Muller's transform of a pair of uniforms.
  [[nodiscard]] float normal(std::uint64_t index) const noexcept { return pair(block(index / 4), index % 4); }

  /// Fills `out[i]` with `uniform(first + i)`.
  void fill_uniform(std::span<float> out, std::uint64_t first = 0) const noexcept {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = uniform(first + i);
  }

  /// Fills `out[i]` with `normal(first + i)`.
  void fill_normal(std::span<float> out, std::uint64_t first = 0) const noexcept {
    std::size_t i = 0;
    while (i < out.size()) {
      const auto b = block((first + i) / 4);
      for (std::uint64_t lane = (first + i) % 4; lane < 4 && i < out.size(); ++lane, ++i) out[i] = pair(b, lane);
    }
  }

 private:
  [[nodiscard]] constexpr std::array<std::uint32_t, 4> block(std::uint64_t counter) const noexcept {
    return philox4x32({static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32), static_cast<std::uint32_t>(stream_),
                       static_cast<std::uint32_t>(stream_ >> 32)},
                      {static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32)});
  }

  static float pair(const std::array<std::uint32_t, 4>& b, std::uint64_t lane) noexcept {
    const std::uint64_t base = lane & 2u;
    // The first uniform lies in (0, 1), so its logarithm is finite.
    const double u = (static_cast<double>(b[base]) + 0.5) * 0x1p-32;
    const double angle = 2.0 * std::numbers::pi * static_cast<double>(b[base + 1]) * 0x1p-32;
    const double radius = std::sqrt(-2.0 * std::log(u));
    return static_cast<float>(radius * ((lane & 1u) ? std::sin(angle) : std::cos(angle)));
  }

  std::uint64_t seed_, stream_;
};

}  // namespace rae
