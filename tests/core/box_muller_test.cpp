// The Box-Muller transform, compared with the functions of the C library.
#include "rae/core/box_muller.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "rae/core/random.hpp"

namespace rae {
namespace {

float by_the_library(std::uint32_t radius, std::uint32_t angle, bool sine) {
  const double r = std::sqrt(-2.0 * std::log((radius + 0.5) * 0x1p-32)),
               turned = 2.0 * std::numbers::pi * angle * 0x1p-32;
  return static_cast<float>(r * (sine ? std::sin(turned) : std::cos(turned)));
}

TEST(BoxMuller, LogarithmIsAccurateToRounding) {
  for (const double u : {0x1p-33, 0x1p-32, 0.1, 0.49999999, 0.5, 0.7071067811, 0.70710678119, 0.75,
                         0.999, 1 - 0x1p-20, 1 - 0x1p-33})
    EXPECT_NEAR(detail::log_of_uniform(u), std::log(u), 2e-16 * std::abs(std::log(u))) << u;
}

TEST(BoxMuller, AgreesWithTheLibraryAtTheEdges) {
  constexpr std::uint32_t kOnes = 0xffffffff;
  for (const std::uint32_t radius :
       {0u, 1u, 0x7fffffffu, 0x80000000u, 0xb504f333u, 0xb504f334u, kOnes - 1, kOnes})
    for (std::uint32_t eighth = 0; eighth < 8; ++eighth)
      for (const std::uint32_t beside : {kOnes, 0u, 1u, 12345u}) {
        const std::uint32_t angle = (eighth << 29) + beside;
        float cosine, sine;
        detail::box_muller<1>(&radius, &angle, &cosine, &sine);
        // At zeros of cos and sin the library gives about 1e-16, the rounding error of pi.
        EXPECT_NEAR(cosine, by_the_library(radius, angle, false), 1e-7f * std::abs(cosine) + 1e-14f)
            << radius << ", " << angle;
        EXPECT_NEAR(sine, by_the_library(radius, angle, true), 1e-7f * std::abs(sine) + 1e-14f)
            << radius << ", " << angle;
      }
}

TEST(BoxMuller, GivesTheRoundedNumbers) {
  const Philox random(3);
  std::vector<float> numbers(200000);
  random.fill_normal(numbers);
  int others = 0;
  for (std::uint64_t i = 0; i < numbers.size(); ++i)
    others += numbers[i] != by_the_library(random.bits(i & ~std::uint64_t{1}), random.bits(i | 1),
                                           (i & 1) != 0)
                  ? 1
                  : 0;
  EXPECT_LE(others, 1);
}

}  // namespace
}  // namespace rae
