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

}  // namespace rae::detail
