// Frechet distance between the normal distributions that fit two sets of features; with Inception
// features it is the FID.
//
// Source: generation metrics of section 4 of the paper (Heusel et al. 2017): |m1 - m2|^2 + tr(C1 +
// C2 - 2 (C1 C2)^(1/2)).
#pragma once

#include <vector>

#include "rae/core/tensor.hpp"

namespace rae {

/// Exact running mean and covariance of features, in double (Welford's rule for blocks, Chan's
/// merge). Parts can be merged.
class FeatureStatistics {
 public:
  /// Statistics of features with `dimension` numbers. Throws ArgumentError outside [1, 65536].
  explicit FeatureStatistics(index_t dimension);

  /// Adds features (N, D), contiguous. Throws ShapeError, NumericError for NaN or infinity; then
  /// nothing was added.
  void update(View<const float> features);
  void update(View<const double> features);

  /// Adds everything that `other` has seen. Throws ShapeError.
  void merge(const FeatureStatistics& other);

  [[nodiscard]] index_t dimension() const noexcept { return mean_.numel(); }

  /// Features so far.
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

/// Distance from means (D) and covariances (D, D); the covariances may be singular. Not negative.
/// Throws ShapeError, and NumericError when a covariance is not finite or not symmetric.
[[nodiscard]] double frechet_distance(const Tensor<double>& mean1,
                                      const Tensor<double>& covariance1,
                                      const Tensor<double>& mean2,
                                      const Tensor<double>& covariance2);

/// The same from collected features. Throws ArgumentError when a set has fewer than two features.
[[nodiscard]] double frechet_distance(const FeatureStatistics& first,
                                      const FeatureStatistics& second);

}  // namespace rae
