// The Box-Muller transform, which maps a pair of independent uniform numbers u, v to a pair of
// independent standard normal numbers:
//
//   sqrt(-2 ln u) cos(2 pi v),  sqrt(-2 ln u) sin(2 pi v)
//
// Source: Box and Muller, "A note on the generation of random normal deviates" (1958). The
// arithmetic is in double and rounded to float at the end. Its loops have no branches and no calls,
// so that compilers can vectorise them. The truncation error of the series is below 1e-16; all but
// about one in 10^8 results are therefore correctly rounded.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <numbers>

#include "rae/core/math.hpp"

namespace rae::detail {

/// Horner's scheme: first + z (second + z (...)).
constexpr double polynomial(double, double last) { return last; }
template <class... Rest>
constexpr double polynomial(double z, double first, Rest... rest) {
  return first + z * polynomial(z, rest...);
}

/// Converts n < 2^52 exactly: n becomes the mantissa of a double that is 2^52 too large. Older
/// processors have no vector instruction that converts 64-bit integers.
inline double small_to_double(std::uint64_t n) {
  return std::bit_cast<double>(n | std::uint64_t{0x433} << 52) - 0x1p52;
}

/// ln u for 2^-33 <= u < 1. With u = m 2^e and m between sqrt(1/2) and sqrt(2),
/// ln u = e ln 2 + 2 artanh s, where s = (m - 1) / (m + 1) and |s| <= 0.172.
inline double log_of_uniform(double u) {
  constexpr auto kRootOfHalf = std::bit_cast<std::uint64_t>(std::numbers::sqrt2 / 2);
  constexpr std::uint64_t kBias = 64;  // keeps the exponent positive
  const auto bits = std::bit_cast<std::uint64_t>(u);
  const std::uint64_t exponent = (bits - kRootOfHalf + (kBias << 52)) >> 52;
  const double m = std::bit_cast<double>(bits - ((exponent - kBias) << 52)), s = (m - 1) / (m + 1),
               z = s * s;
  const double series = polynomial(z, 1.0, 1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11, 1.0 / 13,
                                   1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21);
  return (small_to_double(exponent) - static_cast<double>(kBias)) * std::numbers::ln2 +
         2 * s * series;
}

/// Normal numbers (cosines[i], sines[i]) for u = (radius[i] + 1/2) / 2^32 and
/// v = angle[i] / 2^32, where i < kPairs. The names refer to the two formulas above.
template <std::size_t kPairs>
void box_muller(const std::uint32_t* radius, const std::uint32_t* angle, float* cosines,
                float* sines) {
  double square[kPairs], cosine[kPairs], sine[kPairs];
  for (std::size_t i = 0; i < kPairs; ++i)
    square[i] = -2 * log_of_uniform((small_to_double(radius[i]) + 0.5) * 0x1p-32);
  for (std::size_t i = 0; i < kPairs; ++i) {
    // The angle is split into a whole number of quarter turns and a rest x of at most an eighth of
    // a turn in either direction.
    const std::uint32_t quarters = (angle[i] + (1u << 29)) >> 30;
    const double x = static_cast<double>(static_cast<std::int32_t>(angle[i] - (quarters << 30))) *
                     (std::numbers::pi * 0x1p-31),
                 z = x * x;
    const double s =
        x * polynomial(z, 1.0, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800,
                       1.0 / 6227020800, -1.0 / 1307674368000, 1.0 / 355687428096000);
    const double c = polynomial(z, 1.0, -1.0 / 2, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800,
                                1.0 / 479001600, -1.0 / 87178291200, 1.0 / 20922789888000);
    const double odd = static_cast<double>(static_cast<std::int32_t>(quarters & 1)), even = 1 - odd;
    const double sign_of_cosine =
        1.0 - static_cast<double>(static_cast<std::int32_t>((quarters + 1) & 2));
    const double sign_of_sine = 1.0 - static_cast<double>(static_cast<std::int32_t>(quarters & 2));
    cosine[i] = sign_of_cosine * (odd * s + even * c);
    sine[i] = sign_of_sine * (odd * c + even * s);
  }
  for (std::size_t i = 0; i < kPairs; ++i) {
    const double r = math::sqrt(square[i]);
    cosines[i] = static_cast<float>(r * cosine[i]);
    sines[i] = static_cast<float>(r * sine[i]);
  }
}

}  // namespace rae::detail
