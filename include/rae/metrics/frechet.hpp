// Frechet distance between the normal distributions that fit two sets of features; with Inception
// features it is the FID.
//
// Source: generation metrics of section 4 of the paper (Heusel et al. 2017): |m1 - m2|^2 + tr(C1 +
// C2 - 2 (C1 C2)^(1/2)).
#pragma once

#include <vector>

#include "rae/core/tensor.hpp"

namespace rae {

/// Exact running mean and covariance of features, in double (Welford's algorithm on blocks, Chan's
/// merge). Parts can be computed separately and merged.
class FeatureStatistics {
 public:
  /// Statistics of features with D = `dimension` elements. Throws ArgumentError outside [1, 65536].
  explicit FeatureStatistics(index_t dimension);

  /// Adds features (N, D), contiguous, N >= 1. Throws ShapeError, and NumericError for NaN or
  /// infinity; nothing is added in that case.
  void update(View<const float> features);
  void update(View<const double> features);

  /// Adds all features of `other`. Throws ShapeError for another dimension.
  void merge(const FeatureStatistics& other);

  /// D.
  [[nodiscard]] index_t dimension() const noexcept { return mean_.numel(); }

  /// Number of features added so far.
  [[nodiscard]] index_t count() const noexcept { return count_; }

  /// Mean (D). Throws ArgumentError before the first feature.
  [[nodiscard]] Tensor<double> mean() const;

  /// Unbiased covariance (D, D). Throws ArgumentError before the second feature.
  [[nodiscard]] Tensor<double> covariance() const;

 private:
  template <class T>
  void add(View<const T> features);

  Tensor<double> mean_;     // (D)
  Tensor<double> scatter_;  // (D, D), sum of outer products of deviations
  index_t count_ = 0;
};

/// Frechet distance, >= 0, of two normal distributions with means (D) and covariances (D, D), which
/// may be singular. Throws ShapeError, and NumericError if the result is not finite or a covariance
/// is not symmetric.
[[nodiscard]] double frechet_distance(const Tensor<double>& mean1,
                                      const Tensor<double>& covariance1,
                                      const Tensor<double>& mean2,
                                      const Tensor<double>& covariance2);

/// Frechet distance of two sets of features. Throws ArgumentError if a set has fewer than two
/// features.
[[nodiscard]] double frechet_distance(const FeatureStatistics& first,
                                      const FeatureStatistics& second);

}  // namespace rae
