// The score of pictures that several ranks judge in parts of batches.
#pragma once

#include <span>
#include <vector>

#include "rae/train/classifier_score.hpp"
#include "train/shared_work.hpp"

namespace rae::detail {

/// Appends the classifier's opinion of pictures to a piece.
inline void put(const JudgedPictures& judged, Piece& piece) {
  piece.put_tensor(judged.features);
  piece.put(std::span<const std::int64_t>(judged.answers));
}

/// Collects parts of batches and gives whole batches to a score, because the rounding of its sums
/// depends on the batches. The score must outlive it.
class BatchedScore {
 public:
  /// `total` pictures in batches of `batch`.
  BatchedScore(ClassifierScore& score, index_t batch, index_t total)
      : score_(score), batch_(batch), total_(total) {}

  /// Adds the next part, written by `put`, which does not reach into the next batch. Throws as
  /// ClassifierScore::add.
  void add(Piece& piece, std::span<const std::int64_t> labels) {
    const auto features = piece.get_tensor<float>();  // (n, features)
    const auto answers = piece.get<std::int64_t>(labels.size());
    features_.insert(features_.end(), features.span().begin(), features.span().end());
    judged_.answers.insert(judged_.answers.end(), answers.begin(), answers.end());
    labels_.insert(labels_.end(), labels.begin(), labels.end());
    const auto count = static_cast<index_t>(labels_.size());
    if (count < batch_ && score_.count() + count < total_) return;
    judged_.features = Tensor<float>(features.shape().with(0, count), features_);
    score_.add(judged_, labels_);
    features_.clear();
    judged_ = {};
    labels_.clear();
  }

 private:
  ClassifierScore& score_;
  index_t batch_, total_;
  std::vector<float> features_;
  JudgedPictures judged_;
  std::vector<std::int64_t> labels_;
};

/// Collects parts of batches of features and adds whole batches to their statistics, for the same
/// reason.
class BatchedStatistics {
 public:
  /// `total` vectors of D = `dimension` features in batches of `batch`.
  BatchedStatistics(index_t dimension, index_t batch, index_t total)
      : statistics_(dimension), batch_(batch), total_(total) {}

  /// Adds the next `count` vectors, which do not reach into the next batch. Throws as
  /// FeatureStatistics::update.
  void add(Piece& piece, index_t count) {
    const index_t width = statistics_.dimension();
    const auto part = piece.get<float>(static_cast<std::size_t>(count * width));
    features_.insert(features_.end(), part.begin(), part.end());
    const index_t rows = static_cast<index_t>(features_.size()) / width;
    if (rows < batch_ && statistics_.count() + rows < total_) return;
    statistics_.update(View<const float>(features_.data(), Shape{rows, width}));
    features_.clear();
  }

  /// Of the features so far.
  [[nodiscard]] const FeatureStatistics& statistics() const noexcept { return statistics_; }

 private:
  FeatureStatistics statistics_;
  index_t batch_, total_;
  std::vector<float> features_;
};

}  // namespace rae::detail
