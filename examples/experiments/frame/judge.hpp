// The judge of generated pictures: an independent classifier, and the real pictures as it sees
// them.
//
// Diffusion Transformers with Representation Autoencoders (arXiv 2510.11690), section 4: gFID; here
// the Frechet distance is taken in the features of a classifier of the same data, as by `evaluate`.
#pragma once

#include <vector>

#include "frame/options.hpp"
#include "rae/train/classifier_score.hpp"
#include "rae/train/classifier_trainer.hpp"

namespace rae::experiments {

/// Pictures (B, 3, H, W) of the classes `labels` (B), number `first` and following of a set; values
/// outside [0, 1] are allowed.
using DrawPictures =
    Function<Tensor<float>(const std::vector<std::int64_t>& labels, index_t first)>;

/// Scores of a set of pictures.
struct PictureScore {
  double distance = 0;     ///< Frechet distance to the real test set
  double consistency = 0;  ///< share that the classifier assigns to their class, in [0, 1]
  Tensor<float> features;  ///< (N, F) of the pictures, for other scores
};

/// Judges pictures of the size and the classes of a data set.
class Judge {
 public:
  /// The classifier in `options.classifier`, else one that is trained and kept in
  /// OUT/classifier.safetensors: as by `rae evaluate`, or a tiny one in the reduced version. Prints
  /// the progress of the training. Throws ConfigError for a classifier of other pictures or
  /// classes, and as `load_classifier` and `cached_classifier`.
  [[nodiscard]] static Judge open(const Options& options,
                                  const OwnedPointer<const ImageDataset>& train,
                                  const ImageDataset& test);

  /// Pictures (N, 3, H, W), which are first clamped to [0, 1] and rounded to 8 bits, as files hold
  /// them. Throws as `ClassifierScore::judge`.
  [[nodiscard]] JudgedPictures judge(Tensor<float> pictures) const;

  /// Scores of pictures that were judged, N >= 2, with their classes (N). Throws as
  /// `ClassifierScore::add`.
  [[nodiscard]] PictureScore score(JudgedPictures judged,
                                   const std::vector<std::int64_t>& labels) const;

  /// Scores of `count` >= 2 pictures that `draw` makes, at most 64 at a time, balanced over the
  /// classes: picture i has class i modulo their number.
  [[nodiscard]] PictureScore score_samples(index_t count, const DrawPictures& draw) const;

  /// Scores of the pictures of `data` after `change`, for example after encoding and decoding.
  [[nodiscard]] PictureScore score_set(
      const ImageDataset& data,
      const Function<Tensor<float>(const Tensor<float>& images)>& change) const;

  /// Scores of `count` real training pictures, evenly spaced in the training set: the distance is
  /// the floor that as many samples can reach.
  [[nodiscard]] PictureScore score_training(index_t count) const;

  /// Share of real test pictures that the classifier recognises, in [0, 1].
  [[nodiscard]] double accuracy() const noexcept { return accuracy_; }
  /// Features (N, F) of the real test set.
  [[nodiscard]] const Tensor<float>& real_features() const noexcept { return real_features_; }
  /// Number of classes.
  [[nodiscard]] index_t classes() const noexcept { return classifier_.config().classes; }
  /// Checksum of the classifier's file: of two judges with the same one all scores are equal.
  [[nodiscard]] std::uint32_t checksum() const noexcept { return checksum_; }

 private:
  Judge(Classifier<Tensor<float>> classifier, std::uint32_t checksum,
        OwnedPointer<const ImageDataset> train, const ImageDataset& test);

  Classifier<Tensor<float>> classifier_;
  std::uint32_t checksum_;
  OwnedPointer<const ImageDataset> train_;
  FeatureStatistics real_;
  Tensor<float> real_features_;  // (N, F)
  double accuracy_ = 0;
};

}  // namespace rae::experiments
