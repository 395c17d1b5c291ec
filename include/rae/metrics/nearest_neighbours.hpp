// The k nearest rows of a matrix, for probes of representations and for checks whether samples copy
// training data.
#pragma once

#include <cstdint>
#include <string_view>

#include "rae/core/tensor.hpp"

namespace rae {

/// Distance between features: 1 - cos(angle), in [0, 2], or the length of the difference.
enum class Distance { cosine, euclidean };

/// The distance named "cosine" or "euclidean". Throws ArgumentError for other names.
[[nodiscard]] Distance parse_distance(std::string_view name);

/// The k rows of the base nearest to each query, nearest first; equal distances in the order of the
/// base.
struct Neighbours {
  Tensor<std::int64_t> indices;  ///< (Q, k)
  Tensor<float> distances;       ///< (Q, k)
};

/// Finds the k nearest rows of base (N, D) for each row of queries (Q, D), both contiguous.
/// Candidates are found by blocks of a matrix product in float; the best k + 16 are ranked again in
/// double. A row of zeros has cosine distance 1 to every row. Memory: a copy of the queries. Throws
/// ShapeError, ArgumentError for k outside [1, N], NumericError for NaN or infinity.
[[nodiscard]] Neighbours nearest_neighbours(View<const float> queries, View<const float> base,
                                            index_t k, Distance distance = Distance::cosine);

}  // namespace rae
