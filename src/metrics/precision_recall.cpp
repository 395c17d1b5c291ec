#include "rae/metrics/precision_recall.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "metrics/feature_rows.hpp"
#include "rae/core/parallel.hpp"
#include "rae/core/tensor.hpp"
#include "rae/kernels/gemm.hpp"
#include "rae/metrics/nearest_neighbours.hpp"

namespace rae {
namespace {

/// Squared distance of two rows (d), in double.
double squared_distance(const float* a, const float* b, index_t d) {
  double sum = 0.0;
  for (index_t j = 0; j < d; ++j) {
    const double difference = static_cast<double>(a[j]) - static_cast<double>(b[j]);
    sum += difference * difference;
  }
  return sum;
}

/// Rows minus the mean, which avoids cancellation in float products, and their squared lengths.
struct Centred {
  Tensor<float> rows;     // (N, D)
  Tensor<float> squares;  // (N)

  Centred(const View<const float>& features, const std::vector<double>& mean)
      : rows(features.shape()), squares(Shape{features.extent(0)}) {
    const index_t n = features.extent(0), d = features.extent(1);
    float *target = rows.data(), *lengths = squares.data();
    parallel_for(n, 16, [&](index_t i) {
      double sum = 0.0;
      for (index_t j = 0; j < d; ++j) {
        const double value =
            static_cast<double>(features.data()[i * d + j]) - mean[static_cast<std::size_t>(j)];
        sum += value * value;
        target[i * d + j] = static_cast<float>(value);
      }
      lengths[i] = static_cast<float>(sum);
    });
  }
};

/// Share of ones.
double share(const std::vector<std::uint8_t>& inside) {
  return static_cast<double>(std::count(inside.begin(), inside.end(), 1)) /
         static_cast<double>(inside.size());
}

}  // namespace

std::vector<double> manifold_radii(View<const float> features, index_t k) {
  detail::require_features("precision_recall", "given features", features);
  const index_t n = features.extent(0), d = features.extent(1);
  if (k < 1 || k >= n)
    raise<ArgumentError>("precision_recall: expected k in [1, ", n - 1, "] for the neighbours of ",
                         n, " pictures, got ", k);
  // A row is its own nearest neighbour (or an equal row takes its place), so the k-th other row is
  // the last of k + 1.
  const Neighbours nearest = nearest_neighbours(features, features, k + 1, Distance::euclidean);
  std::vector<double> radii(static_cast<std::size_t>(n));
  for (index_t i = 0; i < n; ++i)
    radii[static_cast<std::size_t>(i)] = squared_distance(
        features.data() + i * d, features.data() + nearest.indices[i * (k + 1) + k] * d, d);
  return radii;
}

std::vector<std::uint8_t> inside_manifold(View<const float> queries, View<const float> base,
                                          const std::vector<double>& radii) {
  detail::require_features("precision_recall", "given features", queries);
  detail::require_features("precision_recall", "base features", base);
  const index_t q = queries.extent(0), n = base.extent(0), d = base.extent(1);
  if (queries.extent(1) != d)
    raise<ShapeError>("precision_recall: features ", queries.shape(), " and ", base.shape(),
                      " differ in width");
  if (radii.size() != static_cast<std::size_t>(n))
    raise<ShapeError>("precision_recall: expected ", n, " radii, got ", radii.size());

  const std::vector<double> mean = detail::column_means(base);
  const Centred centred_queries(queries, mean), centred_base(base, mean);
  const float *lengths_q = centred_queries.squares.data(), *lengths_b = centred_base.squares.data();
  // Float products of rows of lengths a and b have an error of at most (d + 4) epsilon a b. Rows
  // that are nearer to the border than that are computed again in double.
  const double relative_error =
      static_cast<double>(d + 4) * static_cast<double>(std::numeric_limits<float>::epsilon());
  std::vector<std::uint8_t> inside(static_cast<std::size_t>(q), 0);
  Tensor<float> products(Shape{std::min(q, detail::kQueryBlock),
                               std::min(n, detail::kBaseBlock)});  // (query block, base block)
  for (index_t first = 0; first < n; first += detail::kBaseBlock) {
    const index_t width = std::min(detail::kBaseBlock, n - first);
    const PackedMatrix<float> packed(centred_base.rows.view().slice(0, first, width).transposed());
    for (index_t begin = 0; begin < q; begin += detail::kQueryBlock) {
      const index_t height = std::min(detail::kQueryBlock, q - begin);
      const View<float> block =
          products.view().slice(0, 0, height).slice(1, 0, width);  // (height, width)
      gemm<float>(centred_queries.rows.view().slice(0, begin, height), packed, block);
      parallel_for(height, 4, [&](index_t i) {
        std::uint8_t& found = inside[static_cast<std::size_t>(begin + i)];
        const float* row = block.data() + i * block.stride(0);
        const double length = static_cast<double>(lengths_q[begin + i]);
        for (index_t j = 0; j < width && found == 0; ++j) {
          const double other = static_cast<double>(lengths_b[first + j]),
                       radius = radii[static_cast<std::size_t>(first + j)];
          const double outside = length + other - 2.0 * static_cast<double>(row[j]) - radius;
          const double error = 4.0 * relative_error * (length + other);
          if (outside < -error)
            found = 1;
          else if (outside <= error)
            found = squared_distance(queries.data() + (begin + i) * d,
                                     base.data() + (first + j) * d, d) <= radius
                        ? 1
                        : 0;
        }
      });
    }
  }
  return inside;
}

PrecisionRecall precision_recall(View<const float> generated, View<const float> real, index_t k) {
  detail::require_features("precision_recall", "generated features", generated);
  detail::require_features("precision_recall", "real features", real);
  if (generated.extent(1) != real.extent(1))
    raise<ShapeError>("precision_recall: generated ", generated.shape(), " and real ", real.shape(),
                      " features differ in width");
  return {share(inside_manifold(generated, real, manifold_radii(real, k))),
          share(inside_manifold(real, generated, manifold_radii(generated, k)))};
}

}  // namespace rae
