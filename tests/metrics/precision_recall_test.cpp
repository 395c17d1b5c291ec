#include "rae/metrics/precision_recall.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "rae/core/parallel.hpp"
#include "rae/core/random.hpp"
#include "rae/core/tensor.hpp"

namespace rae {
namespace {

/// Normal rows (n, d) around `centre`.
Tensor<float> cloud(index_t n, index_t d, float centre, float width, std::uint64_t seed) {
  Tensor<float> out(Shape{n, d});  // (n, d)
  Philox(seed).fill_normal(out.span());
  for (float& v : out.span()) v = centre + width * v;
  return out;
}

double squared(const Tensor<float>& a, index_t i, const Tensor<float>& b, index_t j) {
  double sum = 0;
  for (index_t c = 0; c < a.extent(1); ++c) {
    const double difference =
        static_cast<double>(a[i * a.extent(1) + c]) - static_cast<double>(b[j * a.extent(1) + c]);
    sum += difference * difference;
  }
  return sum;
}

/// Equations 1 and 2 of the paper, literally.
double covered(const Tensor<float>& queries, const Tensor<float>& base, index_t k) {
  std::vector<double> radii;
  for (index_t i = 0; i < base.extent(0); ++i) {
    std::vector<double> others;
    for (index_t j = 0; j < base.extent(0); ++j)
      if (j != i) others.push_back(squared(base, i, base, j));
    std::sort(others.begin(), others.end());
    radii.push_back(others[static_cast<std::size_t>(k - 1)]);
  }
  index_t inside = 0;
  for (index_t i = 0; i < queries.extent(0); ++i)
    for (index_t j = 0; j < base.extent(0); ++j)
      if (squared(queries, i, base, j) <= radii[static_cast<std::size_t>(j)]) {
        ++inside;
        break;
      }
  return static_cast<double>(inside) / static_cast<double>(queries.extent(0));
}

TEST(PrecisionRecall, EqualsTheDefinition) {
  for (const index_t d : {1, 3, 24})
    for (const index_t k : {1, 3, 5}) {
      const auto generated = cloud(150, d, 0.3f, 0.6f, 1), real = cloud(200, d, 0.0f, 1.0f, 2);
      const auto result = precision_recall(generated.view(), real.view(), k);
      EXPECT_EQ(result.precision, covered(generated, real, k)) << d << " " << k;
      EXPECT_EQ(result.recall, covered(real, generated, k)) << d << " " << k;
    }
}

TEST(PrecisionRecall, EqualsTheDefinitionFarFromTheOriginAndAcrossBlocks) {
  const auto generated = cloud(700, 4, 1000.0f, 0.5f, 3), real = cloud(2500, 4, 1000.0f, 0.4f, 4);
  const auto result = precision_recall(generated.view(), real.view());
  EXPECT_EQ(result.precision, covered(generated, real, 3));
  EXPECT_EQ(result.recall, covered(real, generated, 3));
  EXPECT_LT(result.precision, 1.0);
  EXPECT_GT(result.precision, 0.5);
}

TEST(PrecisionRecall, DistinguishesFidelityFromCoverage) {
  const auto real = cloud(400, 2, 0.0f, 1.0f, 5);
  // Only a small region of the real distribution: faithful, but with low coverage.
  const auto collapsed = cloud(400, 2, 0.2f, 0.05f, 6);
  const auto narrow = precision_recall(collapsed.view(), real.view());
  EXPECT_GT(narrow.precision, 0.95);
  EXPECT_LT(narrow.recall, 0.1);
  const auto far = precision_recall(cloud(400, 2, 50.0f, 1.0f, 7).view(), real.view());
  EXPECT_EQ(far.precision, 0.0);
  EXPECT_EQ(far.recall, 0.0);
  const auto same = precision_recall(real.view(), real.view());
  EXPECT_EQ(same.precision, 1.0);
  EXPECT_EQ(same.recall, 1.0);
}

TEST(PrecisionRecall, TheBorderBelongsToTheBall) {
  // The nearest neighbours of 0, 1, 3, 7 are at distances 1, 1, 2, 4.
  const Tensor<float> base({4, 1}, {0, 1, 3, 7});  // (N, D)
  EXPECT_EQ(manifold_radii(base.view(), 1), (std::vector<double>{1, 1, 4, 16}));
  const Tensor<float> queries({5, 1}, {-1, -1.001f, 11, 11.001f, 2});  // (Q, D)
  EXPECT_EQ(inside_manifold(queries.view(), base.view(), manifold_radii(base.view(), 1)),
            (std::vector<std::uint8_t>{1, 0, 1, 0, 1}));
  // Equal rows: the nearest other row is at distance 0.
  const Tensor<float> twins({3, 1}, {2, 2, 5});  // (N, D)
  EXPECT_EQ(manifold_radii(twins.view(), 1), (std::vector<double>{0, 0, 9}));
}

TEST(PrecisionRecall, DoesNotDependOnThreads) {
  const auto generated = cloud(600, 8, 0.1f, 0.9f, 8), real = cloud(600, 8, 0.0f, 1.0f, 9);
  const int before = num_threads();
  set_num_threads(1);
  const auto one = manifold_radii(real.view(), 3);
  const auto inside = inside_manifold(generated.view(), real.view(), one);
  set_num_threads(3);
  EXPECT_EQ(manifold_radii(real.view(), 3), one);
  EXPECT_EQ(inside_manifold(generated.view(), real.view(), one), inside);
  set_num_threads(before);
}

TEST(PrecisionRecall, RejectsInvalidFeatures) {
  const auto x = cloud(5, 2, 0, 1, 1), y = cloud(5, 3, 0, 1, 1);
  EXPECT_THROW((void)precision_recall(x.view(), y.view()), ShapeError);
  EXPECT_THROW((void)precision_recall(x.view(), x.view(), 0), ArgumentError);
  EXPECT_THROW((void)precision_recall(x.view(), x.view(), 5), ArgumentError);
  EXPECT_THROW((void)inside_manifold(x.view(), x.view(), {1.0}), ShapeError);
  Tensor<float> bad = x;  // (N, D)
  bad[3] = std::numeric_limits<float>::infinity();
  EXPECT_THROW((void)precision_recall(x.view(), bad.view()), NumericError);
}

}  // namespace
}  // namespace rae
