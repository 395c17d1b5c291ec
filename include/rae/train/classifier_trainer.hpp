// Training of the classifier that judges generated pictures, on the real training set.
//
// As the paper's evaluation (section 4) judges by a network that the generator has never seen;
// AdamW with cosine decay, shifts and flips.
#pragma once

#include <string>

#include "rae/core/owner.hpp"
#include "rae/models/classifier.hpp"
#include "rae/train/batches.hpp"
#include "rae/train/training_loop.hpp"

namespace rae {

/// How the classifier is trained; by default for 60,000 gray pictures of 28 x 28 in a few minutes:
/// 92.7 % on the test set of Fashion-MNIST.
struct ClassifierOptions {
  ClassifierNetwork network = ClassifierNetwork::plain;  ///< as in ClassifierConfig
  index_t first_channels = 32;                           ///< as in ClassifierConfig
  index_t features = 128;                                ///< as in ClassifierConfig
  Augmentation augmentation{.shift = 2, .flip = true};   ///< of the training pictures
  double label_smoothing = 0;  ///< share of a label's weight that is divided among all classes
  TrainingOptions training{.steps = 2800,
                           .batch_size = 128,
                           .lr = 1.5e-3,
                           .final_lr = 0,
                           .warmup_steps = 100,
                           .beta2 = 0.99,
                           .weight_decay = 0.02,
                           .ema_decay = 0.99};
};

/// Options for coloured pictures: a residual network, for 50,000 pictures of 32 x 32 in about 70
/// minutes on two cores with AVX-512.
[[nodiscard]] ClassifierOptions color_classifier_options();

/// Options whose cost suits a data set: the defaults for 60,000 gray pictures of 28 x 28,
/// `color_classifier_options` for 50,000 coloured pictures of 32 x 32; fewer steps for fewer or
/// larger pictures (with the square root of both), and smaller batches for larger pictures.
[[nodiscard]] ClassifierOptions classifier_options_for(const ImageDataset& data);

/// The classifier's shape for a data set.
[[nodiscard]] ClassifierConfig classifier_config(const ImageDataset& data,
                                                 const ClassifierOptions& options = {});

/// Trains a new classifier; returns it with its averaged weights. The result is a function of data
/// and options. Throws as `run_training`.
[[nodiscard]] Classifier<Tensor<float>> train_classifier(
    OwnedPointer<const ImageDataset> data, const ClassifierOptions& options = {},
    const OnTrainingProgress& on_progress = {});

/// The classifier in the file `path` if it was trained on this data with these options, else a new
/// one, which is then stored there. Until then, checkpoints of its training are in a folder beside
/// it that ends in ".training", from which the next call with the same data and options continues,
/// bit for bit. Throws as `train_classifier`, and FileError when a file cannot be written.
[[nodiscard]] Classifier<Tensor<float>> cached_classifier(
    const std::string& path, OwnedPointer<const ImageDataset> data,
    const ClassifierOptions& options = {}, const OnTrainingProgress& on_progress = {});

/// The classifier in a file that `cached_classifier` has written. Throws FileError, FormatError for
/// another file, ShapeError.
[[nodiscard]] Classifier<Tensor<float>> load_classifier(const std::string& path);

}  // namespace rae
