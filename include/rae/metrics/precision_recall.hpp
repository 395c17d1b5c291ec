// Improved precision and recall of generated pictures, by k-nearest-neighbour manifolds of
// features.
//
// Source: Kynkäänniemi, Karras, Laine, Lehtinen, Aila, "Improved precision and recall metric for
// assessing generative models" (2019), equations 1 and 2.
#pragma once

#include <cstdint>
#include <vector>

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// Precision and recall, in [0, 1].
struct PrecisionRecall {
  double precision = 0;  ///< share of generated pictures in the manifold of the real ones: fidelity
  double recall = 0;     ///< share of real pictures in the manifold of the generated ones: coverage
};

/// Squared distance (N) from each row of `features` (N, D) to its k-th nearest other row: the
/// squared radii of the balls that form the manifold. Throws ShapeError, NumericError for NaN or
/// infinity, ArgumentError unless 1 <= k < N.
[[nodiscard]] std::vector<double> manifold_radii(View<const float> features, index_t k);

/// For each row of `queries` (Q, D), 1 if it is inside or on the border of a ball around a row of
/// `base` (N, D) with squared `radii` (N), else 0. Throws ShapeError, NumericError for NaN or
/// infinity.
[[nodiscard]] std::vector<std::uint8_t> inside_manifold(View<const float> queries,
                                                        View<const float> base,
                                                        const std::vector<double>& radii);

/// Precision and recall of generated features (N, D) against real ones (M, D), contiguous. The
/// paper uses k = 3 and equal numbers of generated and real pictures; values for other k or counts
/// are not comparable. Throws as `manifold_radii` and `inside_manifold`.
[[nodiscard]] PrecisionRecall precision_recall(View<const float> generated, View<const float> real,
                                               index_t k = 3);

}  // namespace rae
