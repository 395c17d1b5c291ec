#include "rae/models/latent_norm.hpp"

#include <gtest/gtest.h>

#include "support/golden.hpp"

namespace rae {
namespace {

using test::close;

TEST(LatentNorm, AppliesTheFormulaPerElement) {
  const LatentNorm<double> norm{.mean = Tensor<double>(Shape{1, 1, 2}, {1, 2}),
                                .var = Tensor<double>(Shape{1, 1, 2}, {4, 9}),
                                .eps = 0};
  const Tensor<double> z(Shape{2, 1, 1, 2}, {3, 5, -1, 2});         // (B, C, h, w)
  const Tensor<double> expected(Shape{2, 1, 1, 2}, {1, 1, -1, 0});  // (B, C, h, w)
  EXPECT_TRUE(close(norm.normalize(z), expected, 1e-15));
  EXPECT_TRUE(close(norm.denormalize(expected), z, 1e-15));
}

TEST(LatentNorm, WithoutStatisticsLatentsStayUnchanged) {
  const Tensor<float> z(Shape{1, 2, 1, 1}, {3, -4});  // (B, C, h, w)
  EXPECT_TRUE(close(LatentNorm<float>{}.normalize(z), z, 0.0));
  const LatentNorm<float> only_mean{.mean = Tensor<float>(Shape{2, 1, 1}, {1, 1}), .var = {}};
  EXPECT_TRUE(close(only_mean.normalize(z), Tensor<float>(z.shape(), {2, -5}), 0.0));
}

TEST(LatentNorm, RefusesLatentsOfAnotherShape) {
  const LatentNorm<float> norm{.mean = Tensor<float>(Shape{2, 1, 1}, 0.f), .var = {}};
  EXPECT_THROW((void)norm.normalize(Tensor<float>(Shape{2, 1, 1}, 0.f)), ShapeError);
  EXPECT_THROW((void)norm.denormalize(Tensor<float>(Shape{1, 2, 1, 2}, 0.f)), ShapeError);
}

}  // namespace
}  // namespace rae
