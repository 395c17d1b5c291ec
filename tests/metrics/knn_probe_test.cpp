#include "rae/metrics/knn_probe.hpp"

#include "rae/core/random.hpp"
#include "support/golden.hpp"

namespace rae {
namespace {

using test::expect_close;

TEST(KnnProbeTest, ClassifiesSeparatedClasses) {
  constexpr index_t kTrain = 300, kTest = 60, kClasses = 3;
  const auto make = [](index_t n, std::uint64_t seed, std::vector<std::int64_t>& labels) {
    Tensor<float> features(Shape{n, 8});  // (n, D)
    Philox(seed).fill_normal(features.span());
    for (index_t i = 0; i < n; ++i) {
      labels.push_back(i % kClasses * 100 - 7);  // labels need not be indices
      features.data()[i * 8 + i % kClasses] += 12.0f;
    }
    return features;
  };
  std::vector<std::int64_t> train_labels, test_labels;
  const Tensor<float> train = make(kTrain, 1, train_labels),
                      test = make(kTest, 2, test_labels);  // (N, D) and (Q, D)
  for (const Distance distance : {Distance::cosine, Distance::euclidean})
    for (const float temperature : {0.0f, 0.07f})
      EXPECT_EQ(knn_accuracy(train, train_labels, test, test_labels,
                             {.k = 20, .distance = distance, .temperature = temperature}),
                1.0);
  std::vector<std::int64_t> wrong = test_labels;
  for (std::size_t i = 0; i < 15; ++i) wrong[i] = 5;
  EXPECT_DOUBLE_EQ(knn_accuracy(train, train_labels, test, wrong), 0.75);
}

TEST(KnnProbeTest, VotesAndTies) {
  const Tensor<float> train(Shape{5, 1}, {0.0f, 1.0f, 1.5f, 10.0f, 11.0f}),
      query(Shape{1, 1}, {0.2f});  // (N, D) and (Q, D)
  const std::vector<std::int64_t> labels = {4, 9, 9, 4, 4};
  const auto predict = [&](index_t k, float temperature) {
    return knn_classify(train, labels, query,
                        {.k = k, .distance = Distance::euclidean, .temperature = temperature})[0];
  };
  EXPECT_EQ(predict(1, 0.0f), 4);
  EXPECT_EQ(predict(2, 0.0f), 4);  // one vote each: the nearest neighbour decides
  EXPECT_EQ(predict(3, 0.0f), 9);
  EXPECT_EQ(predict(5, 0.0f), 4);  // three votes, near and far, against two
  EXPECT_EQ(predict(5, 2.0f), 9);  // about 1 against exp(-0.3) + exp(-0.55)
  EXPECT_EQ(predict(5, 0.05f), 4);
}

TEST(KnnProbeTest, RejectsInvalidArguments) {
  const Tensor<float> train(Shape{3, 2}, {1, 0, 0, 1, 1, 1}),
      test(Shape{2, 2}, {1, 0, 0, 1});  // (N, D) and (Q, D)
  const std::vector<std::int64_t> three = {0, 1, 2}, two = {0, 1};
  EXPECT_THROW((void)knn_classify(train, two, test, {.k = 1}), ShapeError);
  EXPECT_THROW((void)knn_accuracy(train, three, test, three, {.k = 1}), ShapeError);
  EXPECT_THROW((void)knn_classify(train, three, test, {.k = 4}), ArgumentError);
  EXPECT_THROW((void)knn_classify(train, three, test, {.k = 1, .temperature = -1.0f}),
               ArgumentError);
  EXPECT_THROW((void)knn_classify(train, three, test, {.k = 1, .temperature = NAN}), ArgumentError);
  EXPECT_THROW((void)knn_classify(Tensor<float>(), {}, test, {.k = 1}), ShapeError);
  EXPECT_THROW((void)knn_classify(train, three, Tensor<float>(Shape{1, 2}, NAN), {.k = 1}),
               NumericError);
}

}  // namespace
}  // namespace rae
