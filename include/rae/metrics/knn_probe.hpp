// k-nearest-neighbour classification of frozen features: measures how well a representation
// separates the classes, without training.
//
// Source: evaluation of representations in DINO (Caron et al. 2021, section 4.1).
#pragma once

#include <cstdint>
#include <span>

#include "rae/metrics/nearest_neighbours.hpp"

namespace rae {

/// Settings of the probe.
struct KnnOptions {
  index_t k = 20;                        ///< number of neighbours that vote, in [1, N]
  Distance distance = Distance::cosine;  ///< metric of the neighbours
  float temperature = 0.0f;  ///< 0: equal votes; above 0: votes have weight exp(-distance /
                             ///< temperature); DINO uses 0.07
};

/// The label (Q) with the most votes for each query; among equal votes, the label of the nearer
/// neighbour. train (N, D), labels (N), queries (Q, D). Throws as `nearest_neighbours`, ShapeError
/// for a wrong number of labels, ArgumentError for a negative temperature.
[[nodiscard]] Tensor<std::int64_t> knn_classify(View<const float> train,
                                                std::span<const std::int64_t> labels,
                                                View<const float> queries,
                                                const KnnOptions& options = {});

/// Share of test features (Q, D), with labels (Q), that `knn_classify` classifies correctly, in [0,
/// 1]. Throws as `knn_classify`.
[[nodiscard]] double knn_accuracy(View<const float> train,
                                  std::span<const std::int64_t> train_labels,
                                  View<const float> test, std::span<const std::int64_t> test_labels,
                                  const KnnOptions& options = {});

}  // namespace rae
