#include "rae/ops/gaussian.hpp"

#include <gtest/gtest.h>

#include "support/golden.hpp"
#include "support/gradients.hpp"

namespace rae {
namespace {

using test::expect_gradients;
using test::Inputs;
using test::random_tensor;

TEST(GaussianOps, GradientsAgreeWithFiniteDifferences) {
  const Tensor<double> noise = random_tensor<double>({2, 3, 4}, 9);  // (B, N, C)
  expect_gradients([&](Inputs in) { return gaussian_sample(in[0], noise); }, {{2, 3, 8}});
  expect_gradients([](Inputs in) { return gaussian_mean(in[0]); }, {{2, 3, 8}});
  expect_gradients([](Inputs in) { return kl_loss(in[0]); }, {{2, 3, 8}});
}

TEST(GaussianOps, MeansAreTheFirstHalf) {
  const Tensor<double> moments(Shape{2, 1, 4}, {1, 2, 3, 4, 5, 6, 7, 8});  // (B, N, 2C)
  EXPECT_TRUE(
      test::close(gaussian_mean(moments), Tensor<double>(Shape{2, 1, 2}, {1, 2, 5, 6}), 0.0));
  EXPECT_THROW((void)gaussian_mean(Tensor<double>(Shape{2, 3}, 0.0)), ShapeError);
}

// A million samples of one distribution have its mean and its deviation.
TEST(GaussianOps, SamplesHaveTheMoments) {
  constexpr index_t kSamples = 1'000'000;
  Tensor<double> moments(Shape{kSamples, 2});  // (R, 2C)
  for (index_t i = 0; i < kSamples; ++i) {
    moments[2 * i] = 0.5;
    moments[2 * i + 1] = std::log(4.0);
  }
  const Tensor<double> samples =
      gaussian_sample(moments, random_tensor<double>({kSamples, 1}, 3));  // (R, 1)
  double sum = 0, square = 0;
  for (const double x : samples.span()) {
    sum += x;
    square += x * x;
  }
  const double mean = sum / kSamples;
  EXPECT_NEAR(mean, 0.5, 5 * 2 / 1000.0);  // five deviations of the mean of the samples
  EXPECT_NEAR(square / kSamples - mean * mean, 4.0, 5 * 4 * std::sqrt(2.0) / 1000.0);
}

}  // namespace
}  // namespace rae
