// Improved precision and recall of generated pictures, by manifolds of nearest neighbours in
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

/// Both shares, in [0, 1].
struct PrecisionRecall {
  double precision =
      0;              ///< of generated pictures that lie in the manifold of the real ones: fidelity
  double recall = 0;  ///< of real pictures that lie in the manifold of the generated ones: coverage
};

/// Squared distance (N) from each row of `features` (N, D) to its k-th nearest other row: the radii
/// of the balls that make up the manifold. Throws ShapeError, NumericError for NaN or infinity,
/// ArgumentError unless 1 <= k < N.
[[nodiscard]] std::vector<double> manifold_radii(View<const float> features, index_t k);

/// For each row of `queries` (Q, D) 1 when it lies in one of the balls around the rows of `base`
/// (N, D) with squared `radii` (N), the border included, else 0. Throws ShapeError, NumericError
/// for NaN or infinity.
[[nodiscard]] std::vector<std::uint8_t> inside_manifold(View<const float> queries,
                                                        View<const float> base,
                                                        const std::vector<double>& radii);

/// Precision and recall of generated features (N, D) against real ones (M, D), contiguous. The
/// paper takes k = 3 and as many generated pictures as real ones; the numbers of other k or counts
/// cannot be compared. Throws as `manifold_radii` and `inside_manifold`.
[[nodiscard]] PrecisionRecall precision_recall(View<const float> generated, View<const float> real,
                                               index_t k = 3);

}  // namespace rae
