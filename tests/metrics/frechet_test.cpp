#include "rae/metrics/frechet.hpp"

#include "rae/core/cancellation.hpp"
#include "rae/core/random.hpp"
#include "support/golden.hpp"

namespace rae {
namespace {

using test::expect_close;

TEST(FrechetTest, AgreesWithTheOfficialEvaluation) {
  const test::Golden golden("metrics/io.safetensors");
  const auto features1 = golden.get<double>("feat1"),
             features2 = golden.get<double>("feat2");  // (200, 16)
  FeatureStatistics first(16), second(16);
  first.update(features1.view());
  second.update(features2.view());
  expect_close(first.mean(), golden.get<double>("mu1"), 1e-14);
  expect_close(first.covariance(), golden.get<double>("sigma1"), 1e-13);
  expect_close(second.mean(), golden.get<double>("mu2"), 1e-14);
  expect_close(second.covariance(), golden.get<double>("sigma2"), 1e-13);
  EXPECT_TRUE(test::near(frechet_distance(first, second), golden.get<double>("fid"), 1e-9));
  EXPECT_TRUE(test::near(frechet_distance(second, first), golden.get<double>("fid"), 1e-9));
}

// Many features are decomposed on another thread in a scope, with the same result.
TEST(FrechetTest, CanBeStopped) {
  constexpr index_t kDimension = 300;
  const Philox random(7);
  Tensor<double> features(Shape{320, kDimension});  // (320, D)
  random.fill_normal(features.span());
  FeatureStatistics first(kDimension), second(kDimension);
  first.update(features.view().slice(0, 0, 310));
  second.update(features.view().slice(0, 10, 310));
  const double distance = frechet_distance(first, second);
  const CancellationScope go_on([] { return false; });
  EXPECT_EQ(frechet_distance(first, second), distance);
  const CancellationScope stop([] { return true; });
  EXPECT_THROW((void)frechet_distance(first, second), Cancelled);
}

TEST(FrechetTest, DoesNotDependOnPartsAndBlocks) {
  const test::Golden golden("metrics/io.safetensors");
  const auto features = golden.get<double>("feat1");  // (200, 16)
  FeatureStatistics one_by_one(16), left(16), right(16), empty(16);
  for (index_t i = 0; i < 200; ++i) one_by_one.update(features.view().slice(0, i, 1));
  left.update(features.view().slice(0, 0, 63));
  right.update(features.view().slice(0, 63, 137));
  left.merge(empty);
  left.merge(right);
  empty.merge(left);
  for (const FeatureStatistics* statistics : {&one_by_one, &left, &empty}) {
    EXPECT_EQ(statistics->count(), 200);
    expect_close(statistics->mean(), golden.get<double>("mu1"), 1e-14);
    expect_close(statistics->covariance(), golden.get<double>("sigma1"), 1e-13);
  }
}

TEST(FrechetTest, ManyFloatFeaturesFarFromZeroKeepTheirVariance) {
  Tensor<float> features(Shape{5000, 3});  // (N, D), more than one block
  Philox(1).fill_normal(features.span());
  for (float& v : features.span()) v += 4096.0f;
  FeatureStatistics statistics(3);
  statistics.update(features.view());
  const Tensor<double> covariance = statistics.covariance();  // (D, D)
  for (index_t i = 0; i < 3; ++i)
    for (index_t j = 0; j < 3; ++j) {
      double mean_i = 0, mean_j = 0, sum = 0;
      for (index_t n = 0; n < 5000; ++n)
        mean_i += static_cast<double>(features[n * 3 + i]) / 5000,
            mean_j += static_cast<double>(features[n * 3 + j]) / 5000;
      for (index_t n = 0; n < 5000; ++n)
        sum += (static_cast<double>(features[n * 3 + i]) - mean_i) *
               (static_cast<double>(features[n * 3 + j]) - mean_j);
      EXPECT_NEAR(covariance[i * 3 + j], sum / 4999, 1e-9);
    }
}

TEST(FrechetTest, DiagonalCovariancesHaveAClosedForm) {
  const Tensor<double> mean1(Shape{3}, {0, 0, 0}), mean2(Shape{3}, {1, 2, 2});  // (D)
  const Tensor<double> c1(Shape{3, 3}, {4, 0, 0, 0, 9, 0, 0, 0, 0}),
      c2(Shape{3, 3}, {1, 0, 0, 0, 16, 0, 0, 0, 25});  // (D, D)
  EXPECT_NEAR(frechet_distance(mean1, c1, mean2, c2), 9.0 + 1.0 + 1.0 + 25.0,
              1e-12);  // sum of (s1 - s2)^2 and |m1 - m2|^2
  EXPECT_NEAR(frechet_distance(mean1, c1, mean1, c1), 0.0, 1e-12);
}

TEST(FrechetTest, SingularCovariancesOfFewFeatures) {
  Tensor<double> features(Shape{4, 12});  // (N, D), rank 3
  for (index_t i = 0; i < features.numel(); ++i)
    features.data()[i] = static_cast<double>(Philox(2).normal(static_cast<std::uint64_t>(i)));
  FeatureStatistics statistics(12);
  statistics.update(features.view());
  // The root of a rounding error of 1e-15 is 3e-8, for each of nine zero eigenvalues.
  EXPECT_NEAR(frechet_distance(statistics, statistics), 0.0, 2e-6);
  EXPECT_GE(frechet_distance(statistics, statistics), 0.0);
}

TEST(FrechetTest, RejectsInvalidArguments) {
  EXPECT_THROW(FeatureStatistics(0), ArgumentError);
  EXPECT_THROW(FeatureStatistics(index_t{1} << 40), ArgumentError);
  FeatureStatistics statistics(4);
  EXPECT_THROW((void)statistics.mean(), ArgumentError);
  EXPECT_THROW((void)statistics.covariance(), ArgumentError);
  EXPECT_THROW(statistics.update(Tensor<float>(Shape{2, 5}, 1.0f).view()), ShapeError);
  EXPECT_THROW(statistics.update(Tensor<float>(Shape{4}, 1.0f).view()), ShapeError);
  EXPECT_THROW(statistics.update(Tensor<float>().view()), ShapeError);
  EXPECT_THROW(statistics.update(Tensor<float>(Shape{4, 4}, 1.0f).view().transposed()), ShapeError);
  EXPECT_THROW(statistics.update(Tensor<double>(Shape{2, 4}, static_cast<double>(NAN)).view()),
               NumericError);
  EXPECT_EQ(statistics.count(), 0);
  statistics.update(Tensor<float>(Shape{1, 4}, 1.0f).view());
  EXPECT_THROW((void)statistics.covariance(), ArgumentError);
  EXPECT_THROW(statistics.merge(FeatureStatistics(5)), ShapeError);

  const Tensor<double> mean(Shape{2}, 0.0),
      covariance(Shape{2, 2}, {1, 0, 0, 1});  // (D) and (D, D)
  EXPECT_THROW((void)frechet_distance(mean, covariance, Tensor<double>(Shape{3}, 0.0), covariance),
               ShapeError);
  EXPECT_THROW((void)frechet_distance(mean, Tensor<double>(Shape{2, 3}, 0.0), mean, covariance),
               ShapeError);
  EXPECT_THROW((void)frechet_distance(Tensor<double>(), covariance, mean, covariance), ShapeError);
  EXPECT_THROW(
      (void)frechet_distance(mean, Tensor<double>(Shape{2, 2}, {1, 0.5, 0, 1}), mean, covariance),
      NumericError);
  EXPECT_THROW((void)frechet_distance(mean, Tensor<double>(Shape{2, 2}, static_cast<double>(NAN)),
                                      mean, covariance),
               NumericError);
  EXPECT_THROW((void)frechet_distance(Tensor<double>(Shape{2}, static_cast<double>(NAN)),
                                      covariance, mean, covariance),
               NumericError);
}

}  // namespace
}  // namespace rae
