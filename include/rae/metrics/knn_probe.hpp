// k-nearest-neighbour classification of frozen features: how much a representation knows about the
// classes, without training.
//
// Source: evaluation of representations in DINO (Caron et al. 2021, section 4.1), the encoders that
// the paper builds on.
#pragma once

#include <cstdint>
#include <span>

#include "rae/metrics/nearest_neighbours.hpp"

namespace rae {

/// Settings of the probe.
struct KnnOptions {
  index_t k = 20;                        ///< neighbours that vote
  Distance distance = Distance::cosine;  ///< what "near" means
  float temperature =
      0.0f;  ///< 0: equal votes; else votes exp(-distance / temperature); DINO: 0.07
};

/// The label with the most votes for each query (Q); of equal votes the one with the nearest
/// neighbour. train (N, D), labels (N), queries (Q, D). Throws as `nearest_neighbours`, ShapeError
/// for a wrong number of labels, ArgumentError for a negative temperature.
[[nodiscard]] Tensor<std::int64_t> knn_classify(View<const float> train,
                                                std::span<const std::int64_t> labels,
                                                View<const float> queries,
                                                const KnnOptions& options = {});

/// Share of test features (Q, D), with labels (Q), that `knn_classify` labels correctly, in [0, 1].
[[nodiscard]] double knn_accuracy(View<const float> train,
                                  std::span<const std::int64_t> train_labels,
                                  View<const float> test, std::span<const std::int64_t> test_labels,
                                  const KnnOptions& options = {});

}  // namespace rae
