#include "rae/metrics/inception_score.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "rae/core/random.hpp"
#include "rae/core/tensor.hpp"

namespace rae {
namespace {

TEST(InceptionScore, CountsClassesOfCertainPredictions) {
  Tensor<float> logits(Shape{40, 8}, 0.0f);  // (N, classes)
  for (index_t i = 0; i < 40; ++i) logits[i * 8 + i % 4] = 200.0f;
  const auto score = inception_score(logits.view(), 5, std::nullopt);
  EXPECT_NEAR(score.mean, 4.0, 1e-12);
  EXPECT_NEAR(score.deviation, 0.0, 1e-12);
  EXPECT_NEAR(inception_score(Tensor<float>(Shape{5, 8}, 3.0f).view(), 1).mean, 1.0,
              1e-12);  // uniform predictions
}

TEST(InceptionScore, EqualsTheDefinition) {
  Tensor<float> logits(Shape{7, 3});  // (N, classes)
  Philox(1).fill_normal(logits.span());
  double p[7][3], mean[3] = {};
  for (int i = 0; i < 7; ++i) {
    double sum = 0;
    for (int c = 0; c < 3; ++c) sum += p[i][c] = std::exp(static_cast<double>(logits[i * 3 + c]));
    for (int c = 0; c < 3; ++c) mean[c] += (p[i][c] /= sum) / 7;
  }
  double divergence = 0;
  for (const auto& row : p)
    for (int c = 0; c < 3; ++c) divergence += row[c] * std::log(row[c] / mean[c]) / 7;
  EXPECT_NEAR(inception_score(logits.view(), 1).mean, std::exp(divergence), 1e-12);

  // Two parts: pictures 0 to 2 and 3 to 6.
  const double first = inception_score(logits.view().slice(0, 0, 3), 1).mean,
               second = inception_score(logits.view().slice(0, 3, 4), 1).mean;
  const auto both = inception_score(logits.view(), 2, std::nullopt);
  EXPECT_NEAR(both.mean, (first + second) / 2, 1e-12);
  EXPECT_NEAR(both.deviation, std::abs(first - second) / 2, 1e-12);
}

// isc_features_to_metric of torch-fidelity 0.4.0 with torch 1.13 and NumPy 1.24, with its default
// seed and without shuffling.
TEST(InceptionScore, EqualsTorchFidelity) {
  Tensor<float> logits(Shape{23, 4});  // (N, classes)
  for (index_t i = 0; i < 23; ++i)
    for (index_t c = 0; c < 4; ++c)
      logits[i * 4 + c] =
          static_cast<float>((i * 7 + c * 5) % 11) * 0.5f + (i / 6 == c ? 2.0f : 0.0f);
  const auto shuffled = inception_score(logits.view(), 5),
             in_order = inception_score(logits.view(), 5, std::nullopt);
  EXPECT_NEAR(shuffled.mean, 1.7366903561919913, 1e-12);
  EXPECT_NEAR(shuffled.deviation, 0.24984452112765113, 1e-12);
  EXPECT_NEAR(in_order.mean, 1.5757343309903358, 1e-12);
  EXPECT_NEAR(in_order.deviation, 0.08448362195780315, 1e-12);
}

TEST(InceptionScore, RejectsInvalidLogits) {
  Tensor<float> logits(Shape{4, 3}, 0.0f);  // (N, classes)
  EXPECT_THROW((void)inception_score(logits.view(), 0), ArgumentError);
  EXPECT_THROW((void)inception_score(logits.view(), 5), ArgumentError);
  EXPECT_THROW((void)inception_score(Tensor<float>(Shape{4}, 0.0f).view(), 1), ShapeError);
  logits[5] = std::nanf("");
  EXPECT_THROW((void)inception_score(logits.view(), 1), NumericError);
}

}  // namespace
}  // namespace rae
