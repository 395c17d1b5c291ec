// The random numbers of PyTorch on CPUs: torch.manual_seed followed by torch.rand, randn, randint
// and randperm. They allow pictures to be compared with those of PyTorch programs; everything else
// uses Philox (core/random.hpp).
//
// Sources: Matsumoto and Nishimura, "Mersenne Twister" (ACM TOMACS 1998), MT19937; Moshier's Cephes
// library for logf, sinf and cosf, whose polynomials PyTorch evaluates for blocks of normals.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

#include "rae/core/math.hpp"
#include "rae/error.hpp"

namespace rae {

/// MT19937 with 32-bit outputs, seeded as its authors' `init_genrand`.
class MersenneTwister {
 public:
  /// As `init_genrand(seed)`.
  constexpr explicit MersenneTwister(std::uint32_t seed) noexcept {
    state_[0] = seed;
    for (std::uint32_t i = 1; i < kSize; ++i)
      state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + i;
  }

  /// The next 32 bits.
  constexpr std::uint32_t operator()() noexcept {
    if (next_ == kSize) renew();
    std::uint32_t y = state_[next_++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
  }

 private:
  static constexpr std::size_t kSize = 624, kShift = 397;

  constexpr void renew() noexcept {
    for (std::size_t i = 0; i < kSize; ++i) {
      const std::uint32_t y = (state_[i] & 0x80000000u) | (state_[(i + 1) % kSize] & 0x7fffffffu);
      state_[i] = state_[(i + kShift) % kSize] ^ (y >> 1) ^ ((y & 1u) != 0 ? 0x9908b0dfu : 0u);
    }
    next_ = 0;
  }

  std::array<std::uint32_t, kSize> state_{};
  std::size_t next_ = kSize;
};

namespace detail {

/// a * b + c with one rounding, as an FMA instruction, except where rounding the double result
/// again meets a tie (about 1 in 2^29).
inline float fused(float a, float b, float c) noexcept {
  return static_cast<float>(static_cast<double>(a) * static_cast<double>(b) +
                            static_cast<double>(c));
}

/// Cephes' logf for x in [2^-126, 1], with FMA in the same places as in PyTorch's AVX2 build.
inline float cephes_log(float x) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  auto exponent = static_cast<float>(static_cast<int>(bits >> 23) - 126);
  float r = std::bit_cast<float>((bits & 0x007fffffu) |
                                 0x3f000000u);  // x = r * 2^exponent, r in [0.5, 1)
  if (r < 0.707106781186547524f) {
    exponent -= 1.0f;
    r = r - 1.0f + r;
  } else {
    r -= 1.0f;
  }
  const float square = r * r;
  float y = 7.0376836292e-2f;
  for (const float coefficient :
       {-1.1514610310e-1f, 1.1676998740e-1f, -1.2420140846e-1f, 1.4249322787e-1f, -1.6668057665e-1f,
        2.0000714765e-1f, -2.4999993993e-1f, 3.3333331174e-1f})
    y = fused(y, r, coefficient);
  y = fused(y * r, square, exponent * -2.12194440e-4f);
  y = fused(square, -0.5f, y);
  return fused(exponent, 0.693359375f, r + y);
}

/// {sine, cosine} of Cephes' sinf and cosf for x in [0, 8192), with FMA as above.
inline std::pair<float, float> cephes_sincos(float x) noexcept {
  const int octant = (static_cast<int>(x * 1.27323954473516f) + 1) & ~1;
  const auto turns = static_cast<float>(octant);
  for (const float part : {-0.78515625f, -2.4187564849853515625e-4f, -3.77489497744594108e-8f})
    x = fused(turns, part, x);
  const float z = x * x;
  float c = 2.443315711809948e-5f;
  for (const float coefficient : {-1.388731625493765e-3f, 4.166664568298827e-2f})
    c = fused(c, z, coefficient);
  c = fused(c * z, z, z * -0.5f) + 1.0f;
  float s = -1.9515295891e-4f;
  for (const float coefficient : {8.3321608736e-3f, -1.6666654611e-1f})
    s = fused(s, z, coefficient);
  s = fused(s * z, x, x);
  if ((octant & 2) != 0) std::swap(s, c);
  const bool lower = (octant & 4) != 0, left = ((octant + 2) & 4) != 0;
  return {lower ? -s : s, left ? -c : c};
}

}  // namespace detail

/// PyTorch's default CPU generator after `torch.manual_seed(seed)`: the same calls in the same
/// order give the same numbers. Uniforms and integers are equal bit for bit; normals equal those of
/// PyTorch on x86 CPUs with AVX2, where it evaluates them in float. (On other CPUs, PyTorch's own
/// normals differ from these by about 1e-6.)
class TorchCpuGenerator {
 public:
  /// Only the lower 32 bits of the seed matter, as in PyTorch.
  explicit TorchCpuGenerator(std::uint64_t seed) noexcept
      : engine_(static_cast<std::uint32_t>(seed)) {}

  /// `torch.rand(out.size())`: uniform in [0, 1), multiples of 2^-24.
  void fill_uniform(std::span<float> out) noexcept {
    for (float& value : out) value = static_cast<float>(engine_() & 0xffffffu) * 0x1p-24f;
  }

  /// `torch.randn(out.size())`: standard normal. The numbers depend on the size. Below 16 they are
  /// computed one by one in double, and the second normal of a pair is kept for the next call. From
  /// 16 on they are computed in blocks of 16; if the size is no multiple of 16, the last 16 numbers
  /// are drawn again.
  void fill_normal(std::span<float> out) noexcept {
    constexpr std::size_t kBlock = 16;
    if (out.size() < kBlock) {
      for (float& value : out) value = static_cast<float>(single_normal());
      return;
    }
    fill_uniform(out);
    for (std::size_t at = 0; at + kBlock <= out.size(); at += kBlock)
      transform(out.subspan(at).first<kBlock>());
    if (out.size() % kBlock == 0) return;
    fill_uniform(out.last<kBlock>());
    transform(out.last<kBlock>());
  }

  /// `torch.randint(low, high, (out.size(),))`: uniform in [low, high), up to the bias of the
  /// remainder.
  /// Throws ArgumentError unless 0 < high - low <= 2^28; for larger ranges the versions of PyTorch
  /// differ.
  void fill_integers(std::span<std::int64_t> out, std::int64_t low, std::int64_t high) {
    const std::uint64_t range = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
    if (low >= high || range > (std::uint64_t{1} << 28))
      raise<ArgumentError>("TorchCpuGenerator: expected low < high <= low + 2^28, got ", low,
                           " and ", high);
    for (std::int64_t& value : out) value = low + static_cast<std::int64_t>(engine_() % range);
  }

  /// `torch.randperm(n)`: 0, ..., n - 1 in random order. Throws ArgumentError unless 0 <= n <=
  /// 2^27; for larger n the versions of PyTorch differ.
  [[nodiscard]] std::vector<std::int64_t> permutation(std::int64_t n) {
    if (n < 0 || n > (std::int64_t{1} << 27))
      raise<ArgumentError>("TorchCpuGenerator: expected a size in [0, 2^27], got ", n);
    std::vector<std::int64_t> order(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
    for (std::size_t i = 0; i + 1 < order.size(); ++i)
      std::swap(order[i], order[i + engine_() % (order.size() - i)]);
    return order;
  }

 private:
  /// The Box-Muller transform of 8 pairs of uniforms, in place.
  static void transform(std::span<float, 16> block) noexcept {
    for (std::size_t i = 0; i < 8; ++i) {
      const float radius = math::sqrt(-2.0f * detail::cephes_log(1.0f - block[i]));
      const auto [sine, cosine] =
          detail::cephes_sincos(static_cast<float>(2.0 * std::numbers::pi) * block[i + 8]);
      block[i] = radius * cosine + 0.0f;  // no negative zeros
      block[i + 8] = radius * sine + 0.0f;
    }
  }

  double single_normal() noexcept {
    if (has_second_) {
      has_second_ = false;
      return second_;
    }
    const double angle = 2.0 * std::numbers::pi * uniform_double();
    const double radius = math::sqrt(-2.0 * math::log1p(-uniform_double()));
    second_ = radius * math::sin(angle);
    has_second_ = true;
    return radius * math::cos(angle);
  }

  double uniform_double() noexcept {
    const std::uint64_t high = engine_();
    return static_cast<double>(((high << 32) | engine_()) & ((std::uint64_t{1} << 53) - 1)) *
           0x1p-53;
  }

  MersenneTwister engine_;
  double second_ = 0.0;
  bool has_second_ = false;
};

}  // namespace rae
