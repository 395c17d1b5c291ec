#include "rae/metrics/cka.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "rae/core/random.hpp"

namespace rae {
namespace {

Tensor<float> normal_features(index_t n, index_t d, std::uint64_t seed) {
  Tensor<float> out(Shape{n, d});  // (N, D)
  Philox(seed).fill_normal(out.span());
  return out;
}

/// Unbiased CKA from its definition: the product of the kernels without diagonals, after
/// U-centring.
double unbiased_by_definition(const Tensor<float>& x, const Tensor<float>& y) {
  const index_t n = x.extent(0);
  const auto size = static_cast<std::size_t>(n);
  const auto kernel = [&](const Tensor<float>& f) {
    std::vector<std::vector<double>> k(size, std::vector<double>(size, 0.0)), out = k;
    const index_t d = f.extent(1);
    for (std::size_t i = 0; i < size; ++i)
      for (std::size_t j = 0; j < size; ++j)
        for (index_t c = 0; c < d; ++c)
          if (i != j)
            k[i][j] += static_cast<double>(f[static_cast<index_t>(i) * d + c]) *
                       static_cast<double>(f[static_cast<index_t>(j) * d + c]);
    std::vector<double> sums(size, 0.0);
    double all = 0;
    for (std::size_t i = 0; i < size; ++i)
      for (std::size_t j = 0; j < size; ++j) sums[i] += k[i][j], all += k[i][j];
    const double m = static_cast<double>(n);
    for (std::size_t i = 0; i < size; ++i)
      for (std::size_t j = 0; j < size; ++j)
        if (i != j) out[i][j] = k[i][j] - (sums[i] + sums[j]) / (m - 2) + all / ((m - 1) * (m - 2));
    return out;
  };
  const auto a = kernel(x), b = kernel(y);
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < size; ++i)
    for (std::size_t j = 0; j < size; ++j)
      ab += a[i][j] * b[i][j], aa += a[i][j] * a[i][j], bb += b[i][j] * b[i][j];
  return ab / std::sqrt(aa * bb);
}

TEST(CkaTest, RotationScaleAndTranslationDoNotMatter) {
  const Tensor<float> x = normal_features(40, 2, 1);  // (N, D)
  Tensor<float> y(Shape{40, 2});
  for (index_t i = 0; i < 40; ++i) {
    y.data()[2 * i] = 3 * (0.6f * x[2 * i] - 0.8f * x[2 * i + 1]) + 10;
    y.data()[2 * i + 1] = 3 * (0.8f * x[2 * i] + 0.6f * x[2 * i + 1]) - 5;
  }
  for (const CkaEstimate estimate : {CkaEstimate::biased, CkaEstimate::unbiased}) {
    EXPECT_NEAR(linear_cka(x.view(), y.view(), estimate), 1, 1e-6);
    EXPECT_NEAR(linear_cka(x.view(), x.view(), estimate), 1, 1e-12);
  }
}

TEST(CkaTest, OfSingleElementsItIsTheSquaredCorrelation) {
  const Tensor<float> x(Shape{4, 1}, {1, 2, 3, 4}), y(Shape{4, 1}, {1, 3, 2, 4}),
      z(Shape{4, 1}, {1, -1, -1, 1});  // (N, 1)
  EXPECT_NEAR(linear_cka(x.view(), y.view(), CkaEstimate::biased), 0.64, 1e-12);
  EXPECT_NEAR(linear_cka(x.view(), z.view(), CkaEstimate::biased), 0, 1e-12);
}

TEST(CkaTest, TheUnbiasedEstimateFollowsItsDefinition) {
  const Tensor<float> x = normal_features(7, 3, 2), y = normal_features(7, 5, 3);  // (N, D)
  EXPECT_NEAR(linear_cka(x.view(), y.view()), unbiased_by_definition(x, y), 1e-10);
  EXPECT_NEAR(linear_cka(y.view(), x.view()), linear_cka(x.view(), y.view()), 1e-12);
}

TEST(CkaTest, OnlyTheUnbiasedEstimateIsSmallForManyIndependentElements) {
  const Tensor<float> x = normal_features(60, 300, 4), y = normal_features(60, 300, 5);
  EXPECT_GT(linear_cka(x.view(), y.view(), CkaEstimate::biased), 0.7);
  EXPECT_LT(std::abs(linear_cka(x.view(), y.view())), 0.1);
}

TEST(CkaTest, RejectsInvalidArguments) {
  const Tensor<float> x = normal_features(5, 3, 6), few = normal_features(3, 3, 7),
                      constant(Shape{5, 2}, 0.7f), nan(Shape{5, 2}, NAN);
  EXPECT_THROW((void)linear_cka(x.view(), few.view()), ShapeError);
  EXPECT_THROW((void)linear_cka(Tensor<float>().view(), x.view()), ShapeError);
  EXPECT_THROW((void)linear_cka(few.view(), few.view()), ArgumentError);
  EXPECT_NO_THROW((void)linear_cka(few.view(), few.view(), CkaEstimate::biased));
  EXPECT_THROW((void)linear_cka(x.view(), constant.view()), ArgumentError);
  EXPECT_THROW((void)linear_cka(x.view(), nan.view()), NumericError);
}

}  // namespace
}  // namespace rae
