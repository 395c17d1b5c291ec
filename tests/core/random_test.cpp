// Philox: the known answers published with Random123, and the properties that the library relies
// on.
#include "rae/core/random.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace rae {
namespace {

using Counter = std::array<std::uint32_t, 4>;
using Key = std::array<std::uint32_t, 2>;

TEST(Philox4x32, KnownAnswers) {
  static_assert(philox4x32({0, 0, 0, 0}, {0, 0}) ==
                Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// The layout determines the numbers of every seed, so changing it would change every picture.
TEST(Philox, LaysOutSeedStreamAndIndex) {
  const Philox random(0x0123456789abcdefu, 0xfedcba9876543210u);
  const std::uint64_t block = 0x1122334455667788u;
  const Counter expected =
      philox4x32({0x55667788, 0x11223344, 0x76543210, 0xfedcba98}, {0x89abcdef, 0x01234567});
  for (std::uint64_t lane = 0; lane < 4; ++lane)
    EXPECT_EQ(random.bits(block * 4 + lane), expected[lane]);
}

TEST(Philox, ValueDependsOnIndexOnly) {
  const Philox random(7, 3);
  std::vector<float> forward(1000), backward(1000);
  for (std::size_t i = 0; i < 1000; ++i) forward[i] = random.normal(i);
  for (std::size_t i = 1000; i-- > 0;) backward[i] = Philox(7, 3).normal(i);
  EXPECT_EQ(forward, backward);
}

TEST(Philox, SeedsAndStreamsDiffer) {
  std::set<std::uint32_t> seen;
  for (std::uint64_t seed : {0u, 1u, 2u})
    for (std::uint64_t stream : {0u, 1u, 2u})
      for (std::uint64_t i = 0; i < 100; ++i) seen.insert(Philox(seed, stream).bits(i));
  EXPECT_GE(seen.size(), 899u);  // 900 draws of 32 bits: two are equal with probability 1e-4
}

TEST(Philox, FillsEqualSingleDrawsAtEveryOffset) {
  const Philox random(5, 9);
  for (std::uint64_t first = 0; first < 9; ++first)
    for (const std::size_t n : {0u, 1u, 2u, 3u, 4u, 5u, 7u, 8u, 13u, 59u, 64u, 65u, 130u}) {
      std::vector<float> uniform(n), normal(n);
      random.fill_uniform(uniform, first);
      random.fill_normal(normal, first);
      for (std::size_t i = 0; i < n; ++i) {
        ASSERT_EQ(uniform[i], random.uniform(first + i));
        ASSERT_EQ(normal[i], random.normal(first + i));
      }
    }
}

TEST(Philox, UniformMomentsAndRange) {
  const Philox random(1);
  constexpr int n = 200000;
  double sum = 0, squares = 0;
  std::vector<int> bins(16);
  for (std::uint64_t i = 0; i < n; ++i) {
    const float u = random.uniform(i);
    ASSERT_GE(u, 0.0f);
    ASSERT_LT(u, 1.0f);
    sum += static_cast<double>(u);
    squares += static_cast<double>(u) * static_cast<double>(u);
    ++bins[static_cast<std::size_t>(u * 16)];
  }
  const double mean = sum / n;
  EXPECT_NEAR(mean, 0.5, 5 * std::sqrt(1.0 / 12 / n));  // five standard errors
  EXPECT_NEAR(squares / n, 1.0 / 3, 5 * std::sqrt(4.0 / 45 / n));
  double chi_squared = 0;
  for (const int count : bins) chi_squared += (count - n / 16.0) * (count - n / 16.0) / (n / 16.0);
  EXPECT_LT(chi_squared, 44.3);  // 15 degrees of freedom, p = 1e-4
}

TEST(Philox, NormalMoments) {
  const Philox random(2);
  constexpr int n = 400000;
  double moments[5] = {};
  double neighbours = 0;
  for (std::uint64_t i = 0; i < n; ++i) {
    const auto x = static_cast<double>(random.normal(i));
    ASSERT_TRUE(std::isfinite(x));
    double power = 1;
    for (double& moment : moments) {
      moment += power / n;
      power *= x;
    }
    neighbours += x * static_cast<double>(random.normal(i + 1)) / n;
  }
  // Five standard errors; the variances of x, x^2, x^3, x^4 are 1, 2, 15, 96.
  EXPECT_NEAR(moments[1], 0, 5 * std::sqrt(1.0 / n));
  EXPECT_NEAR(moments[2], 1, 5 * std::sqrt(2.0 / n));
  EXPECT_NEAR(moments[3], 0, 5 * std::sqrt(15.0 / n));
  EXPECT_NEAR(moments[4], 3, 5 * std::sqrt(96.0 / n));
  EXPECT_NEAR(neighbours, 0, 5 * std::sqrt(1.0 / n));
}

TEST(Philox, BelowStaysBelowAndReachesAll) {
  const Philox random(4);
  for (const std::uint64_t n : {1u, 2u, 10u, 1000u}) {
    std::set<std::uint64_t> seen;
    for (std::uint64_t i = 0; i < 20000; ++i) {
      const std::uint64_t v = random.below(i, n);
      ASSERT_LT(v, n);
      seen.insert(v);
    }
    EXPECT_EQ(seen.size(), n);
  }
  EXPECT_EQ(random.below(17, std::uint64_t{1} << 32), random.bits(17));
}

}  // namespace
}  // namespace rae
