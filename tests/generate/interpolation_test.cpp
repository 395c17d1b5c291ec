#include "rae/generate/interpolation.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "rae/core/random.hpp"

namespace rae {
namespace {

Tensor<float> noise(std::uint64_t seed) {
  Tensor<float> out(Shape{1, 16, 4, 4});  // (1, C, h, w)
  Philox(seed, 0).fill_normal(out.span());
  return out;
}

double length(const Tensor<float>& z, index_t i) {
  const index_t n = z.numel() / z.extent(0);
  double sum = 0;
  for (index_t k = 0; k < n; ++k)
    sum += static_cast<double>(z[i * n + k]) * static_cast<double>(z[i * n + k]);
  return std::sqrt(sum);
}

TEST(InterpolationTest, EndsAreExact) {
  const Tensor<float> a = noise(1), b = noise(2);  // (1, C, h, w)
  const double shares[] = {0.0, 1.0};
  for (const Tensor<float>& z : {spherical_path(a, b, shares), linear_path(a, b, shares)})
    for (index_t k = 0; k < a.numel(); ++k) {
      EXPECT_EQ(z[k], a[k]);
      EXPECT_EQ(z[a.numel() + k], b[k]);
    }
}

TEST(InterpolationTest, TheGreatCircleKeepsTheLengthAndTheAngleGrowsEvenly) {
  const Tensor<float> a(Shape{1, 2}, {3.0f, 0.0f}), b(Shape{1, 2}, {0.0f, 3.0f});  // (1, 2)
  const double shares[] = {1.0 / 3, 0.5};
  const Tensor<float> z = spherical_path(a, b, shares);  // (2, 2)
  EXPECT_NEAR(z[0], 3 * std::cos(M_PI / 6), 1e-6);
  EXPECT_NEAR(z[1], 3 * std::sin(M_PI / 6), 1e-6);
  EXPECT_NEAR(z[2], 3 * std::sqrt(0.5), 1e-6);
  const double half[] = {0.5};
  EXPECT_NEAR(length(spherical_path(noise(1), noise(2), half), 0), 16, 1.5);
  EXPECT_LT(length(linear_path(noise(1), noise(2), half), 0), 13);
}

TEST(InterpolationTest, ParallelVectorsAreMixedLinearly) {
  const Tensor<float> a(Shape{1, 2}, {1.0f, 0.0f}), b(Shape{1, 2}, {2.0f, 0.0f});  // (1, 2)
  const double shares[] = {0.25};
  EXPECT_FLOAT_EQ(spherical_path(a, b, shares)[0], 1.25f);
  EXPECT_FLOAT_EQ(spherical_path(a, a, shares)[0], 1.0f);
}

TEST(InterpolationTest, RefusesWrongEnds) {
  const double shares[] = {0.5}, outside[] = {1.5};
  const Tensor<float> a = noise(1), other(Shape{1, 2}, 0.0f), two(Shape{2, 2}, 0.0f);
  EXPECT_THROW((void)spherical_path(a, other, shares), ShapeError);
  EXPECT_THROW((void)linear_path(two, two, shares), ShapeError);
  EXPECT_THROW((void)linear_path(a, a, outside), ArgumentError);
  EXPECT_THROW((void)linear_path(a, a, {}), ArgumentError);
}

}  // namespace
}  // namespace rae
