#include "rae/models/noise_augment.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "support/golden.hpp"

namespace rae {
namespace {

using test::close;

TEST(NoiseAugment, DependsOnlyOnTheSample) {
  const Tensor<float> two(Shape{2, 3, 4}, 0.f), one(Shape{1, 3, 4}, 0.f);  // (B, N, D)
  for (const NoiseLaw law : {NoiseLaw::uniform, NoiseLaw::half_normal}) {
    const Tensor<float> both = noise_augment(two, 0.8, law, 5, 10),
                        second = noise_augment(one, 0.8, law, 5, 11);  // (B, N, D)
    for (index_t i = 0; i < 12; ++i) EXPECT_EQ(both[12 + i], second[i]);
    EXPECT_FALSE(close(noise_augment(one, 0.8, law, 5, 10), second, 1e-3));
  }
}

TEST(NoiseAugment, WithoutStrengthReturnsTheTokens) {
  const Tensor<float> tokens(Shape{2, 3, 4}, 0.5f);  // (B, N, D)
  EXPECT_TRUE(close(noise_augment(tokens, 0.0, NoiseLaw::uniform, 5, 10), tokens, 0.0));
}

TEST(NoiseAugment, RefusesANegativeOrUndefinedStrength) {
  const Tensor<float> tokens(Shape{1, 3, 4}, 0.f);  // (B, N, D)
  EXPECT_THROW(noise_augment(tokens, -0.1, NoiseLaw::uniform, 5, 10), ArgumentError);
  EXPECT_THROW(
      noise_augment(tokens, std::numeric_limits<double>::quiet_NaN(), NoiseLaw::uniform, 5, 10),
      ArgumentError);
}

// Over many samples, the mean of sigma^2 is tau^2 / 3 for the uniform law and tau^2 for the
// half-normal law.
TEST(NoiseAugment, FollowsItsLaw) {
  const Tensor<float> tokens(Shape{4000, 1, 16}, 0.f);  // (B, N, D)
  for (const auto& [law, expected] :
       {std::pair(NoiseLaw::uniform, 0.64 / 3), std::pair(NoiseLaw::half_normal, 0.64)}) {
    const Tensor<float> noisy = noise_augment(tokens, 0.8, law, 1, 0);  // (B, N, D)
    double sum = 0;
    for (const float value : noisy.span()) sum += static_cast<double>(value) * value;
    EXPECT_NEAR(sum / static_cast<double>(noisy.numel()), expected, 0.05 * expected);
  }
}

}  // namespace
}  // namespace rae
