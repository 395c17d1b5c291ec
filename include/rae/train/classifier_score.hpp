// Scores of a set of pictures by a classifier: how many show the class that they should, and
// how their features are distributed.
//
// Class consistency is the classification accuracy score of Ravuri and Vinyals 2019 turned around;
// the Frechet distance of Heusel et al. 2017 is taken in the features of this classifier, as
// Fashion-MNIST is not what Inception was trained on.
#pragma once

#include <span>
#include <vector>

#include "rae/metrics/frechet.hpp"
#include "rae/models/classifier.hpp"

namespace rae {

/// The most likely class of each row of logits (N, classes); of equal ones the first. Throws
/// ShapeError for another rank.
[[nodiscard]] std::vector<std::int64_t> most_likely(const Tensor<float>& logits);

/// A classifier's opinion of pictures.
struct JudgedPictures {
  Tensor<float> features;             ///< (N, features)
  std::vector<std::int64_t> answers;  ///< the most likely class of each
};

/// A running score of labelled pictures. The classifier must outlive it.
class ClassifierScore {
 public:
  /// No pictures yet.
  explicit ClassifierScore(const Classifier<Tensor<float>>& classifier);

  /// Adds pictures (N, C, H, W) in [0, 1] with the classes that they should show. Throws
  /// ShapeError, ArgumentError for a label out of range, NumericError for pictures that are not
  /// finite; then nothing was added.
  void add(const Tensor<float>& images, std::span<const std::int64_t> labels);

  /// The classifier's opinion of pictures (N, C, H, W), N >= 1, which another score can add. Throws
  /// ShapeError, NumericError.
  [[nodiscard]] JudgedPictures judge(const Tensor<float>& images) const;
  /// Adds pictures that were judged. Throws ArgumentError for a label out of range; then nothing
  /// was added.
  void add(const JudgedPictures& judged, std::span<const std::int64_t> labels);

  /// Pictures so far.
  [[nodiscard]] index_t count() const noexcept { return features_.count(); }

  /// Share of pictures that the classifier assigns to their label, in [0, 1]. Throws ArgumentError
  /// before the first picture.
  [[nodiscard]] double accuracy() const;

  /// The same for each class; NaN for a class without pictures.
  [[nodiscard]] std::vector<double> accuracy_by_class() const;

  /// Statistics of the features, for `frechet_distance`.
  [[nodiscard]] const FeatureStatistics& features() const noexcept { return features_; }

 private:
  void require_labels(std::span<const std::int64_t> labels) const;

  const Classifier<Tensor<float>>& classifier_;
  FeatureStatistics features_;
  std::vector<index_t> hits_, counts_;  // by class
};

}  // namespace rae
