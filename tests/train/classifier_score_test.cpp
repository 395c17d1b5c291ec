#include "rae/train/classifier_score.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::random_tensor;

constexpr ClassifierConfig kConfig{
    .channels = 1, .height = 4, .width = 4, .classes = 3, .first_channels = 2, .features = 3};

Classifier<Tensor<float>> random_classifier() {
  Classifier<Tensor<float>> model(kConfig);
  initialize(model, 5);
  return model;
}

TEST(MostLikely, TakesTheFirstOfEqualScores) {
  const Tensor<float> logits(Shape{3, 3}, {1, 2, 2, 5, -1, 0, 0, 0, 0.5f});  // (3, 3)
  EXPECT_EQ(most_likely(logits), (std::vector<std::int64_t>{1, 0, 2}));
  EXPECT_THROW((void)most_likely(Tensor<float>(Shape{3}, 0.0f)), ShapeError);
}

TEST(ClassifierScore, CountsHitsByClass) {
  const Classifier<Tensor<float>> model = random_classifier();
  const Tensor<float> images = random_tensor<float>({300, 1, 4, 4}, 1);  // (N, C, H, W)
  std::vector<std::int64_t> answers = most_likely(model(images));
  const auto zeros = static_cast<double>(std::count(answers.begin(), answers.end(), 0));
  ASSERT_GT(zeros, 0);
  ASSERT_LT(zeros, 300);
  ClassifierScore right(model), all_zero(model);
  right.add(images, answers);
  EXPECT_EQ(right.accuracy(), 1.0);
  all_zero.add(images, std::vector<std::int64_t>(300, 0));
  EXPECT_NEAR(all_zero.accuracy(), zeros / 300, 1e-12);
  EXPECT_NEAR(all_zero.accuracy_by_class()[0], zeros / 300, 1e-12);
  EXPECT_TRUE(std::isnan(all_zero.accuracy_by_class()[1]));
}

TEST(ClassifierScore, SeveralBatchesGiveTheStatisticsOfOne) {
  const Classifier<Tensor<float>> model = random_classifier();
  const Tensor<float> images = random_tensor<float>({200, 1, 4, 4}, 2);  // (200, 1, 4, 4)
  const std::vector<std::int64_t> labels(200, 1);
  ClassifierScore whole(model), parts(model);
  whole.add(images, labels);
  for (index_t begin = 0; begin < 200; begin += 50)
    parts.add(Tensor<float>(Shape{50, 1, 4, 4},
                            images.span().subspan(static_cast<std::size_t>(begin * 16), 50 * 16)),
              std::span(labels).subspan(0, 50));
  EXPECT_EQ(parts.count(), 200);
  EXPECT_EQ(parts.accuracy(), whole.accuracy());
  EXPECT_NEAR(frechet_distance(parts.features(), whole.features()), 0.0, 1e-9);
  // The mean equals that of the features that the model returns.
  const Tensor<float> features = model.features(images);  // (200, 3)
  double mean = 0;
  for (index_t i = 0; i < 200; ++i) mean += static_cast<double>(features[i * 3]) / 200;
  EXPECT_NEAR(whole.features().mean()[0], mean, 1e-6);
}

TEST(ClassifierScore, RefusesInvalidLabelsShapesAndNumbers) {
  const Classifier<Tensor<float>> model = random_classifier();
  ClassifierScore score(model);
  const std::vector<std::int64_t> labels = {0, 1}, outside = {0, 3};
  EXPECT_THROW((void)score.accuracy(), ArgumentError);
  EXPECT_THROW(score.add(random_tensor<float>({3, 1, 4, 4}, 1), labels), ShapeError);
  EXPECT_THROW(score.add(random_tensor<float>({2, 1, 4, 4}, 1), outside), ArgumentError);
  EXPECT_THROW(score.add(Tensor<float>(Shape{2, 1, 4, 4}, NAN), labels), NumericError);
  EXPECT_EQ(score.count(), 0);
}

}  // namespace
}  // namespace rae
