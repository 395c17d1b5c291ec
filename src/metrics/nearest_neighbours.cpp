#include "rae/metrics/nearest_neighbours.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "metrics/feature_rows.hpp"
#include "rae/core/parallel.hpp"
#include "rae/kernels/gemm.hpp"

namespace rae {
namespace {

constexpr index_t kSpareCandidates = 16;

using Candidate = std::pair<float, std::int64_t>;  // (key that increases with the distance, row)

/// Copies rows (n, d) to `out`: normalised for cosine, minus `mean` (d) for euclidean, which avoids
/// cancellation in float products. `squares` (n), if not null, receives the squared length of each
/// euclidean row.
void prepare(const float* rows, index_t n, index_t d, Distance distance,
             const std::vector<double>& mean, float* out, float* squares) {
  parallel_for(n, 16, [&](index_t i) {
    const float* row = rows + i * d;
    float* target = out + i * d;
    double sum = 0.0;
    if (distance == Distance::cosine) {
      for (index_t j = 0; j < d; ++j)
        sum += static_cast<double>(row[j]) * static_cast<double>(row[j]);
      const double scale = sum > 0.0 ? 1.0 / std::sqrt(sum) : 0.0;
      for (index_t j = 0; j < d; ++j)
        target[j] = static_cast<float>(static_cast<double>(row[j]) * scale);
    } else {
      for (index_t j = 0; j < d; ++j) {
        const double value = static_cast<double>(row[j]) - mean[static_cast<std::size_t>(j)];
        sum += value * value;
        target[j] = static_cast<float>(value);
      }
      if (squares) squares[i] = static_cast<float>(sum);
    }
  });
}

/// Distance of two rows (d), in double.
double exact_distance(const float* a, const float* b, index_t d, Distance distance) {
  double product = 0.0, squares_a = 0.0, squares_b = 0.0, squares = 0.0;
  for (index_t j = 0; j < d; ++j) {
    const double x = static_cast<double>(a[j]), y = static_cast<double>(b[j]);
    product += x * y;
    squares_a += x * x;
    squares_b += y * y;
    squares += (x - y) * (x - y);
  }
  if (distance == Distance::euclidean) return std::sqrt(squares);
  return squares_a > 0.0 && squares_b > 0.0
             ? 1.0 - product / std::sqrt(squares_a) / std::sqrt(squares_b)
             : 1.0;
}

/// Keeps the smallest candidates of one query in a heap whose top is the largest.
void offer(std::vector<Candidate>& heap, std::size_t capacity, const Candidate& candidate) {
  if (heap.size() < capacity) {
    heap.push_back(candidate);
    std::push_heap(heap.begin(), heap.end());
  } else if (candidate < heap.front()) {
    std::pop_heap(heap.begin(), heap.end());
    heap.back() = candidate;
    std::push_heap(heap.begin(), heap.end());
  }
}

}  // namespace

Distance parse_distance(std::string_view name) {
  if (name == "cosine") return Distance::cosine;
  if (name == "euclidean") return Distance::euclidean;
  raise<ArgumentError>("unknown distance '", name, "': expected cosine or euclidean");
}

Neighbours nearest_neighbours(View<const float> queries, View<const float> base, index_t k,
                              Distance distance) {
  detail::require_features("nearest_neighbours", "queries", queries);
  detail::require_features("nearest_neighbours", "base", base);
  const index_t q = queries.extent(0), n = base.extent(0), d = base.extent(1);
  if (queries.extent(1) != d)
    raise<ShapeError>("nearest_neighbours: queries ", queries.shape(), " and base ", base.shape(),
                      " differ in width");
  if (k < 1 || k > n)
    raise<ArgumentError>("nearest_neighbours: expected k in [1, ", n, "], got ", k);

  const std::vector<double> mean =
      distance == Distance::euclidean ? detail::column_means(base) : std::vector<double>{};
  Tensor<float> prepared(Shape{q, d});  // (Q, D)
  prepare(queries.data(), q, d, distance, mean, prepared.data(), nullptr);
  const auto capacity = static_cast<std::size_t>(std::min(n, k + kSpareCandidates));
  std::vector<std::vector<Candidate>> heaps(static_cast<std::size_t>(q));
  const index_t columns = std::min(n, detail::kBaseBlock);
  Tensor<float> products(
      Shape{std::min(q, detail::kQueryBlock), columns});  // (query block, base block)
  Tensor<float> rows(Shape{columns, d}),
      squares(Shape{columns}, 0.0f);  // (base block, D), (base block)
  for (index_t first = 0; first < n; first += detail::kBaseBlock) {
    const index_t width = std::min(detail::kBaseBlock, n - first);
    prepare(base.data() + first * d, width, d, distance, mean, rows.data(), squares.data());
    const PackedMatrix<float> packed(std::as_const(rows).view().slice(0, 0, width).transposed());
    for (index_t begin = 0; begin < q; begin += detail::kQueryBlock) {
      const index_t height = std::min(detail::kQueryBlock, q - begin);
      const View<float> block =
          products.view().slice(0, 0, height).slice(1, 0, width);  // (height, width)
      gemm<float>(std::as_const(prepared).view().slice(0, begin, height), packed, block);
      const float* lengths = std::as_const(squares).data();
      parallel_for(height, 4, [&](index_t i) {
        auto& heap = heaps[static_cast<std::size_t>(begin + i)];
        const float* row = block.data() + i * block.stride(0);
        for (index_t j = 0; j < width; ++j)
          offer(heap, capacity, {lengths[j] - 2.0f * row[j], first + j});
      });
    }
  }

  Neighbours out{Tensor<std::int64_t>(Shape{q, k}), Tensor<float>(Shape{q, k})};
  std::int64_t* indices = out.indices.data();
  float* distances = out.distances.data();
  parallel_for(q, 4, [&](index_t i) {
    std::vector<std::pair<double, std::int64_t>> ranked;
    for (const auto& [key, row] : heaps[static_cast<std::size_t>(i)])
      ranked.emplace_back(
          exact_distance(queries.data() + i * d, base.data() + row * d, d, distance), row);
    std::sort(ranked.begin(), ranked.end());
    for (index_t j = 0; j < k; ++j) {
      indices[i * k + j] = ranked[static_cast<std::size_t>(j)].second;
      distances[i * k + j] = static_cast<float>(ranked[static_cast<std::size_t>(j)].first);
    }
  });
  return out;
}

}  // namespace rae
