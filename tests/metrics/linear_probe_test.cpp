#include "rae/metrics/linear_probe.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "support/kernel_data.hpp"

namespace rae {
namespace {

/// Normal features (n, d) around one centre for each of `classes` classes; the last feature is
/// constant.
struct Blobs {
  Tensor<float> features;  // (n, d)
  std::vector<std::int64_t> labels;
  Blobs(index_t n, index_t d, index_t classes, float spread, std::uint64_t stream)
      : features(test::random_tensor<float>({n, d}, stream)) {
    const Tensor<float> centres = test::random_tensor<float>({classes, d}, 99);  // (classes, d)
    for (index_t i = 0; i < n; ++i) {
      labels.push_back(i % classes);
      for (index_t j = 0; j < d; ++j)
        features[i * d + j] =
            j + 1 == d ? 3.0f : spread * features[i * d + j] + centres[i % classes * d + j];
    }
  }
};

TEST(LinearProbe, SeparatesBlobsAndGuessesOnNoise) {
  const Blobs train(3000, 12, 4, 0.2f, 1), test(400, 12, 4, 0.2f, 2);
  EXPECT_EQ(linear_probe_accuracy(fit_linear_probe(train.features, train.labels, 4), test.features,
                                  test.labels),
            1.0);
  const Blobs noise(3000, 12, 4, 1000.0f, 3), more_noise(4000, 12, 4, 1000.0f, 4);
  EXPECT_NEAR(linear_probe_accuracy(fit_linear_probe(noise.features, noise.labels, 4),
                                    more_noise.features, more_noise.labels),
              0.25, 0.03);
}

// One feature x with labels 1 for x > 0: the slope is cov(x, y) / (var(x) (1 + ridge)).
TEST(LinearProbe, IsRidgeRegression) {
  const Tensor<float> x(Shape{4, 1}, {-1, 1, -3, 3});  // (N, D)
  const std::vector<std::int64_t> labels = {0, 1, 0, 1};
  const LinearProbe probe = fit_linear_probe(x, labels, 2, 0.25);
  EXPECT_NEAR(probe.weight[1], 0.5 * 2.0 / 5.0 / 1.25, 1e-6);
  EXPECT_NEAR(probe.weight[0], -0.5 * 2.0 / 5.0 / 1.25, 1e-6);
  EXPECT_NEAR(probe.bias[0], 0.5, 1e-6);
}

TEST(LinearProbe, IsBitIdenticalForAnyThreadCount) {
  const Blobs train(2500, 9, 3, 1.0f, 5);
  EXPECT_TRUE(test::same_on_every_thread_count(
      [&] { return fit_linear_probe(train.features, train.labels, 3).weight; }));
}

TEST(LinearProbe, RejectsInvalidArguments) {
  const Tensor<float> x(Shape{2, 3}, 1.0f), other(Shape{2, 4}, 1.0f),
      bad(Shape{2, 3}, NAN);  // (N, D)
  const std::vector<std::int64_t> labels = {0, 1}, short_labels = {0}, outside = {0, 2};
  EXPECT_THROW((void)fit_linear_probe(x, short_labels, 2), ShapeError);
  EXPECT_THROW((void)fit_linear_probe(x, outside, 2), ArgumentError);
  EXPECT_THROW((void)fit_linear_probe(x, labels, 2, 0.0), ArgumentError);
  EXPECT_THROW((void)fit_linear_probe(bad, labels, 2), NumericError);
  const LinearProbe probe = fit_linear_probe(x, labels, 2);
  EXPECT_THROW((void)linear_probe_accuracy(probe, other, labels), ShapeError);
}

}  // namespace
}  // namespace rae
