#include "rae/metrics/nearest_neighbours.hpp"

#include <algorithm>
#include <cmath>

#include "rae/core/parallel.hpp"
#include "rae/core/random.hpp"
#include "support/golden.hpp"

namespace rae {
namespace {

using test::expect_close;

/// Normal rows (n, d) plus `offset`.
Tensor<float> random_rows(index_t n, index_t d, std::uint64_t seed, float offset = 0.0f) {
  Tensor<float> out(Shape{n, d});  // (n, d)
  Philox(seed).fill_normal(out.span());
  for (float& v : out.span()) v += offset;
  return out;
}

/// Computes all distances in double and sorts them.
Neighbours by_brute_force(const Tensor<float>& queries, const Tensor<float>& base, index_t k,
                          Distance distance) {
  const index_t q = queries.extent(0), n = base.extent(0), d = base.extent(1);
  Neighbours out{Tensor<std::int64_t>(Shape{q, k}), Tensor<float>(Shape{q, k})};
  for (index_t i = 0; i < q; ++i) {
    std::vector<std::pair<double, std::int64_t>> all;
    for (index_t j = 0; j < n; ++j) {
      double ab = 0, aa = 0, bb = 0;
      for (index_t c = 0; c < d; ++c) {
        const double a = static_cast<double>(queries[i * d + c]),
                     b = static_cast<double>(base[j * d + c]);
        ab += a * b;
        aa += a * a;
        bb += b * b;
      }
      all.emplace_back(distance == Distance::cosine ? 1 - ab / std::sqrt(aa * bb)
                                                    : std::sqrt(std::max(0.0, aa + bb - 2 * ab)),
                       j);
    }
    std::sort(all.begin(), all.end());
    for (index_t j = 0; j < k; ++j) {
      out.distances.data()[i * k + j] = static_cast<float>(all[static_cast<std::size_t>(j)].first);
      out.indices.data()[i * k + j] = all[static_cast<std::size_t>(j)].second;
    }
  }
  return out;
}

TEST(NearestNeighboursTest, AgreesWithBruteForceAcrossBlocks) {
  // Three blocks of the base, two of queries.
  const Tensor<float> base = random_rows(4500, 9, 1),
                      queries = random_rows(530, 9, 2);  // (N, D), (Q, D)
  for (const Distance distance : {Distance::cosine, Distance::euclidean}) {
    const Neighbours actual = nearest_neighbours(queries, base, 7, distance),
                     expected = by_brute_force(queries, base, 7, distance);
    expect_close(actual.indices, expected.indices, 0.0);
    expect_close(actual.distances, expected.distances, 1e-6);
  }
}

TEST(NearestNeighboursTest, DistinguishesFeaturesFarFromTheOrigin) {
  // In float, |a|^2 + |b|^2 - 2ab of lengths near 3000 would be wrong by about 1.
  const Tensor<float> base = random_rows(300, 8, 3, 1000.0f),
                      queries = random_rows(20, 8, 4, 1000.0f);  // (N, D), (Q, D)
  const Neighbours actual = nearest_neighbours(queries, base, 5, Distance::euclidean);
  Tensor<float> near_base = base, near_queries = queries;  // (N, D), (Q, D)
  for (float& v : near_base.span()) v -= 1000.0f;
  for (float& v : near_queries.span()) v -= 1000.0f;
  const Neighbours expected = by_brute_force(near_queries, near_base, 5, Distance::euclidean);
  expect_close(actual.indices, expected.indices, 0.0);
  expect_close(actual.distances, expected.distances, 1e-6);
}

TEST(NearestNeighboursTest, EqualDistancesKeepTheOrderOfTheBase) {
  const Tensor<float> base(Shape{5, 2}, {1, 0, 0, 1, 1, 0, 0, 2, 1, 0}),
      query(Shape{1, 2}, {3, 0});  // (N, D), (Q, D)
  const Neighbours cosine = nearest_neighbours(query, base, 5);
  expect_close(cosine.indices, Tensor<std::int64_t>(Shape{1, 5}, {0, 2, 4, 1, 3}), 0.0);
  expect_close(cosine.distances, Tensor<float>(Shape{1, 5}, {0, 0, 0, 1, 1}), 1e-7);
  const Neighbours euclidean = nearest_neighbours(query, base, 4, Distance::euclidean);
  expect_close(euclidean.indices, Tensor<std::int64_t>(Shape{1, 4}, {0, 2, 4, 1}), 0.0);
  expect_close(euclidean.distances, Tensor<float>(Shape{1, 4}, {2, 2, 2, std::sqrt(10.0f)}), 1e-6);
}

TEST(NearestNeighboursTest, ARowIsItsOwnNearestNeighbour) {
  const Tensor<float> rows = random_rows(100, 6, 5);  // (N, D)
  for (const Distance distance : {Distance::cosine, Distance::euclidean}) {
    const Neighbours found = nearest_neighbours(rows, rows, 1, distance);
    for (index_t i = 0; i < 100; ++i) EXPECT_EQ(found.indices[i], i);
    expect_close(found.distances, Tensor<float>(Shape{100, 1}, 0.0f), 1e-7);
  }
}

TEST(NearestNeighboursTest, ZeroRowsAreFarFromEverything) {
  const Tensor<float> base(Shape{3, 2}, {0, 0, 1, 1, -1, -1}),
      queries(Shape{2, 2}, {0, 0, 2, 2});  // (N, D), (Q, D)
  const Neighbours found = nearest_neighbours(queries, base, 3);
  expect_close(found.distances, Tensor<float>(Shape{2, 3}, {1, 1, 1, 0, 1, 2}), 1e-6);
  expect_close(found.indices, Tensor<std::int64_t>(Shape{2, 3}, {0, 1, 2, 1, 0, 2}), 0.0);
}

TEST(NearestNeighboursTest, DoesNotDependOnTheNumberOfThreads) {
  const Tensor<float> base = random_rows(700, 16, 6),
                      queries = random_rows(90, 16, 7);  // (N, D), (Q, D)
  set_num_threads(1);
  const Neighbours one = nearest_neighbours(queries, base, 10);
  set_num_threads(4);
  const Neighbours four = nearest_neighbours(queries, base, 10);
  set_num_threads(0);
  expect_close(one.indices, four.indices, 0.0);
  expect_close(one.distances, four.distances, 0.0);
}

TEST(NearestNeighboursTest, RejectsInvalidArguments) {
  const Tensor<float> base = random_rows(5, 3, 8);  // (N, D)
  EXPECT_THROW((void)nearest_neighbours(base, base, 0), ArgumentError);
  EXPECT_THROW((void)nearest_neighbours(base, base, 6), ArgumentError);
  EXPECT_THROW((void)nearest_neighbours(random_rows(5, 4, 8), base, 1), ShapeError);
  EXPECT_THROW((void)nearest_neighbours(base, Tensor<float>(Shape{0, 3}), 1), ShapeError);
  EXPECT_THROW((void)nearest_neighbours(Tensor<float>(), base, 1), ShapeError);
  EXPECT_THROW((void)nearest_neighbours(base.view().transposed(), base, 1), ShapeError);
  EXPECT_THROW((void)nearest_neighbours(Tensor<float>(Shape{1, 3}, NAN), base, 1), NumericError);
  EXPECT_THROW((void)nearest_neighbours(base, Tensor<float>(Shape{1, 3}, INFINITY), 1),
               NumericError);
  EXPECT_EQ(parse_distance("cosine"), Distance::cosine);
  EXPECT_EQ(parse_distance("euclidean"), Distance::euclidean);
  EXPECT_THROW((void)parse_distance("l2"), ArgumentError);
}

}  // namespace
}  // namespace rae
