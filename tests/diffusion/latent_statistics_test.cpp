#include "rae/diffusion/latent_statistics.hpp"

#include "rae/core/random.hpp"
#include "support/golden.hpp"

namespace rae {
namespace {

using test::expect_close;

TEST(LatentStatisticsTest, MomentumStatisticsAgreeWithTheOfficialScript) {
  const test::Golden golden("latent_stats/io.safetensors");
  MomentumLatentStatistics statistics;
  for (int i = 0; i < 12; ++i) statistics.update(golden("batch" + std::to_string(i)));
  expect_close(statistics.mean(), golden("mean"), 1e-6);
  expect_close(statistics.variance(), golden("var"), 1e-6);
}

/// Normal latents (count, 3, 2, 4) with mean `offset`.
Tensor<float> random_latents(index_t count, std::uint64_t seed, float offset) {
  Tensor<float> out(Shape{count, 3, 2, 4});  // (N, 3, 2, 4)
  Philox(seed).fill_normal(out.span());
  for (float& v : out.span()) v = v * 0.5f + offset;
  return out;
}

/// Mean and biased variance (3, 2, 4), computed in two passes.
std::pair<Tensor<float>, Tensor<float>> two_passes(const std::vector<Tensor<float>>& batches) {
  const Shape shape{3, 2, 4};
  Tensor<float> mean(shape), variance(shape);  // (C, h, w)
  for (index_t i = 0; i < shape.numel(); ++i) {
    double sum = 0, squares = 0;
    index_t n = 0;
    for (const auto& batch : batches)
      for (index_t b = 0; b < batch.extent(0); ++b, ++n)
        sum += static_cast<double>(batch[b * shape.numel() + i]);
    const double m = sum / static_cast<double>(n);
    for (const auto& batch : batches)
      for (index_t b = 0; b < batch.extent(0); ++b) {
        const double d = static_cast<double>(batch[b * shape.numel() + i]) - m;
        squares += d * d;
      }
    mean.data()[i] = static_cast<float>(m);
    variance.data()[i] = static_cast<float>(squares / static_cast<double>(n));
  }
  return {mean, variance};
}

TEST(LatentStatisticsTest, ExactStatisticsAgreeWithTwoPassesFarFromZero) {
  // With an offset of 1000 a sum of squares in float would lose all digits of the variance.
  const std::vector<Tensor<float>> batches = {
      random_latents(5, 1, 1000.0f), random_latents(1, 2, 1000.0f), random_latents(17, 3, 1001.0f)};
  const auto [mean, variance] = two_passes(batches);
  LatentStatistics statistics;
  for (const auto& batch : batches) statistics.update(batch);
  EXPECT_EQ(statistics.count(), 23);
  expect_close(statistics.mean(), mean, 0.0);
  expect_close(statistics.variance(), variance, 1e-7);
}

TEST(LatentStatisticsTest, MergedPartsEqualTheWhole) {
  const std::vector<Tensor<float>> batches = {
      random_latents(4, 1, 0.0f), random_latents(9, 2, 3.0f), random_latents(2, 3, -1.0f)};
  const auto [mean, variance] = two_passes(batches);
  LatentStatistics left, right, empty;
  left.update(batches[0]);
  right.update(batches[1]);
  right.update(batches[2]);
  left.merge(empty);
  left.merge(right);
  EXPECT_EQ(left.count(), 15);
  expect_close(left.mean(), mean, 1e-7);
  expect_close(left.variance(), variance, 1e-6);
  empty.merge(left);
  expect_close(empty.variance(), left.variance(), 0.0);
}

TEST(LatentStatisticsTest, ContinuesSavedStatistics) {
  LatentStatistics whole, part;
  whole.update(random_latents(5, 1, 3.0f));
  part.update(random_latents(5, 1, 3.0f));
  LatentStatistics saved(part.mean<double>(), part.variance<double>(), part.count());
  whole.update(random_latents(4, 2, 3.0f));
  saved.update(random_latents(4, 2, 3.0f));
  EXPECT_EQ(saved.count(), 9);
  expect_close(saved.mean<double>(), whole.mean<double>(), 1e-15);
  expect_close(saved.variance<double>(), whole.variance<double>(), 1e-14);

  const Tensor<double> one(Shape{2, 3}, 1.0);  // (2, 3)
  EXPECT_THROW(LatentStatistics(one, Tensor<double>(Shape{3, 2}, 1.0), 1), ShapeError);
  EXPECT_THROW(LatentStatistics(Tensor<double>(), Tensor<double>(), 1), ShapeError);
  EXPECT_THROW(LatentStatistics(one, one, 0), ArgumentError);
  EXPECT_THROW(LatentStatistics(one, Tensor<double>(Shape{2, 3}, -1.0), 1), NumericError);
  EXPECT_THROW(LatentStatistics(Tensor<double>(Shape{2, 3}, NAN), one, 1), NumericError);
}

TEST(LatentStatisticsTest, WorksInDoubleAndOnManyThreads) {
  Tensor<double> batch(Shape{3, 9000});  // (3, 9000)
  for (index_t i = 0; i < batch.numel(); ++i)
    batch.data()[i] = static_cast<double>(i / 9000);  // 0, 1, 2 for every element
  LatentStatistics statistics;
  set_num_threads(4);
  statistics.update(batch);
  set_num_threads(0);
  expect_close(statistics.mean(), Tensor<float>(Shape{9000}, 1.0f), 0.0);
  expect_close(statistics.variance(), Tensor<float>(Shape{9000}, 2.0f / 3.0f), 0.0);
}

TEST(LatentStatisticsTest, OneSampleHasNoVariance) {
  LatentStatistics statistics;
  statistics.update(random_latents(1, 8, 2.0f));
  expect_close(statistics.variance(), Tensor<float>(Shape{3, 2, 4}, 0.0f), 0.0);
}

TEST(LatentStatisticsTest, RejectsInvalidBatchesWithoutAChange) {
  LatentStatistics statistics;
  EXPECT_THROW((void)statistics.mean(), ArgumentError);
  EXPECT_THROW((void)statistics.variance(), ArgumentError);
  EXPECT_THROW(statistics.update(Tensor<float>()), ShapeError);
  EXPECT_THROW(statistics.update(Tensor<float>(Shape{0, 3}, 0.0f)), ShapeError);
  statistics.update(random_latents(3, 1, 0.0f));
  const Tensor<float> mean = statistics.mean();  // (C, h, w)
  EXPECT_THROW(statistics.update(Tensor<float>(Shape{2, 3, 4, 2}, 0.0f)), ShapeError);
  Tensor<float> broken = random_latents(2, 2, 0.0f);  // (B, C, h, w)
  broken.data()[7] = NAN;
  EXPECT_THROW(statistics.update(broken), NumericError);
  LatentStatistics other;
  other.update(Tensor<float>(Shape{2, 5}, 1.0f));
  EXPECT_THROW(statistics.merge(other), ShapeError);
  EXPECT_EQ(statistics.count(), 3);
  expect_close(statistics.mean(), mean, 0.0);

  EXPECT_THROW(MomentumLatentStatistics(0.0), ArgumentError);
  EXPECT_THROW(MomentumLatentStatistics(1.5), ArgumentError);
  MomentumLatentStatistics momentum;
  EXPECT_THROW((void)momentum.mean(), ArgumentError);
  momentum.update(random_latents(3, 1, 0.0f));
  const Tensor<float> variance = momentum.variance();  // (C, h, w)
  EXPECT_THROW(momentum.update(broken), NumericError);
  EXPECT_THROW(momentum.update(Tensor<float>(Shape{2, 5}, 1.0f)), ShapeError);
  expect_close(momentum.variance(), variance, 0.0);
}

}  // namespace
}  // namespace rae
