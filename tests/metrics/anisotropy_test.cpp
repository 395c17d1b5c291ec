#include "rae/metrics/anisotropy.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "rae/core/random.hpp"

namespace rae {
namespace {

TEST(AnisotropyTest, KnownTokens) {
  EXPECT_NEAR(anisotropy(Tensor<float>(Shape{3, 2}, {1, 2, 2, 4, 0.5f, 1}).view()), 1, 1e-12);
  EXPECT_NEAR(anisotropy(Tensor<float>(Shape{2, 2}, {3, 0, 0, 5}).view()), 0, 1e-12);
  EXPECT_NEAR(anisotropy(Tensor<float>(Shape{2, 2}, {1, 1, -2, -2}).view()), -1, 1e-12);
  // Similarities 1, 0 and 0; the token of zeros does not count.
  EXPECT_NEAR(anisotropy(Tensor<float>(Shape{4, 2}, {1, 0, 2, 0, 0, 0, 0, 1}).view()), 1.0 / 3,
              1e-12);
}

TEST(AnisotropyTest, IsTheMeanOverAllPairs) {
  constexpr index_t kCount = 20, kWidth = 5;
  Tensor<float> tokens(Shape{kCount, kWidth});  // (N, D)
  Philox(4).fill_normal(tokens.span());
  for (float& value : tokens.span()) value += 0.5f;
  const float* t = std::as_const(tokens).data();
  double sum = 0;
  for (index_t i = 0; i < kCount; ++i)
    for (index_t j = 0; j < i; ++j) {
      double product = 0, first = 0, second = 0;
      for (index_t d = 0; d < kWidth; ++d) {
        const double a = static_cast<double>(t[i * kWidth + d]),
                     b = static_cast<double>(t[j * kWidth + d]);
        product += a * b;
        first += a * a;
        second += b * b;
      }
      sum += product / std::sqrt(first * second);
    }
  EXPECT_NEAR(anisotropy(tokens.view()), sum / (kCount * (kCount - 1) / 2), 1e-12);
}

TEST(AnisotropyTest, RejectsInvalidArguments) {
  EXPECT_THROW((void)anisotropy(Tensor<float>().view()), ShapeError);
  EXPECT_THROW((void)anisotropy(Tensor<float>(Shape{1, 2}, 1.0f).view()), ArgumentError);
  EXPECT_THROW((void)anisotropy(Tensor<float>(Shape{3, 2}, 0.0f).view()), ArgumentError);
  EXPECT_THROW((void)anisotropy(Tensor<float>(Shape{3, 2}, INFINITY).view()), NumericError);
}

}  // namespace
}  // namespace rae
