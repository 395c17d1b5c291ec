// Quality of a model, measured against real data: the classes of its samples, how they are
// distributed, whether they are copies, how well pictures are reconstructed, and how much its
// latents know about the classes.
//
// Evaluation of section 4 and 5 of the paper (Frechet distance, reconstruction), with a classifier
// trained on the same data instead of Inception, which has seen no such pictures.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/core/owner.hpp"
#include "rae/formats/bundle.hpp"
#include "rae/generate/features.hpp"
#include "rae/metrics/knn_probe.hpp"
#include "rae/train/classifier_trainer.hpp"
#include "rae/train/communicator.hpp"

namespace rae {

/// How far an evaluation is.
struct EvaluationProgress {
  std::string part;  ///< "classifier", "samples", "guided samples", "reconstruction", "neighbours",
                     ///< "probes", "Inception features of real pictures"
  index_t done = 0;  ///< finished units of this part: steps, pictures
  index_t total = 0;  ///< units of this part
};

/// The measurements, and the number of pictures for each.
struct EvaluationOptions {
  std::string folder{};     ///< existing folder for the files of the evaluation; empty: no files
  index_t samples = 10000;  ///< balanced over the classes, without guidance; 0 leaves this part out
  index_t guided_samples =
      1000;  ///< the same with guidance; left out, too, when the model has no null class
  std::optional<Cfg> guidance{};  ///< of the guided samples; absent: the model's default if it
                                  ///< guides, else a scale of 1.5
  index_t steps = 0;              ///< of the sampler; 0 takes the model's default
  std::uint64_t seed = 0;         ///< of the samples' noise
  index_t neighbour_rows = 20;    ///< samples in the picture of four nearest neighbours each
  index_t neighbour_pairs = 40;   ///< samples in the picture of the nearest neighbour of each
  index_t neighbour_queries =
      1000;  ///< samples, and test pictures, whose nearest training picture is measured
  bool reconstruction = true;  ///< of the test pictures
  bool probes = true;          ///< k-NN and linear probe of latents and pixels
  index_t probe_pictures = 0;  ///< training pictures of the probes, chosen by chance; 0: all. Their
                               ///< latents are held in memory
  DType dtype = DType::f32;    ///< of the model's weights at work, as in LoadOptions
  LayerTypes layer_types{};  ///< a type for each matrix instead, as in LoadOptions; empty: `dtype`
  double reuse_error = 0;    ///< of the sampler, as in GenerateOptions
  KnnOptions knn{};          ///< of the k-NN probe
  ClassifierOptions classifier{};  ///< how the judge is trained
  std::string classifier_file{};   ///< where it is kept; empty: classifier.safetensors in `folder`
  /// Inception-v3: adds the distances in its features (FID, rFID). It is much slower than the
  /// classifier. Another network adds those in its features.
  std::optional<FeatureExtractor> inception{};
  /// The ranks that share the work; null: this process alone. The classifier is trained on rank 0
  /// while the others wait, so they should have no time limit. Only rank 0 uses `folder`.
  Communicator* ranks = nullptr;
  /// Called often, on every rank; false stops with Cancelled. May be empty.
  Function<bool(const EvaluationProgress&)> on_progress{};
};

/// Frechet distances in the features of Inception-v3 (FID).
struct InceptionQuality {
  double to_test = 0;           ///< of the samples to the real test set
  double to_training = 0;       ///< of the samples to as many real training pictures
  double training_to_test = 0;  ///< of these training pictures to the real test set
};

/// Samples under one guidance, as the classifier sees them.
struct SampleQuality {
  Cfg guidance;       ///< a scale of 1 is none
  index_t count = 0;  ///< samples
  index_t steps = 0;  ///< of the sampler
  double class_consistency =
      0;  ///< share that the classifier assigns to the class that was asked for
  std::vector<double> by_class;          ///< the same for each class; NaN without samples
  double frechet_distance = 0;           ///< to the real test set, in the classifier's features
  double training_frechet_distance = 0;  ///< of as many real training pictures to the real test set
  std::optional<InceptionQuality> inception{};  ///< with EvaluationOptions::inception
};

/// Distances in pixels of [0, 1], as lengths of differences, from pictures to their nearest
/// training pictures.
struct NeighbourQuality {
  index_t queries = 0;                         ///< samples, and as many test pictures
  double samples_mean = 0, samples_least = 0;  ///< from samples
  double test_mean = 0, test_least = 0;        ///< from real test pictures
  std::vector<double> rows;                    ///< nearest distance of each sample of the picture
};

/// The test set through the encoder and back, 8-bit pictures.
struct ReconstructionQuality {
  double psnr = 0;  ///< mean over pictures, in dB
  double ssim = 0;  ///< mean over pictures; 0 for sides below 6
  /// Share of reconstructions that the classifier assigns to the class of the original, and their
  /// Frechet distance to the originals in its features (rFID with another network). Absent without
  /// samples, which alone need the classifier.
  std::optional<double> class_consistency{}, frechet_distance{};
  std::optional<double> inception_distance{};  ///< the same in Inception's features: rFID
};

/// Test accuracy of classifiers that see frozen features of the training set, in [0, 1].
struct ProbeQuality {
  index_t pictures = 0;                          ///< of the training set
  double knn_latents = 0, knn_pixels = 0;        ///< by the votes of the nearest training pictures
  double linear_latents = 0, linear_pixels = 0;  ///< by ridge regression, see LinearProbe
};

/// Everything that was measured; parts that the model or the options lack are absent.
struct EvaluationReport {
  std::string model;          ///< its name
  std::string dtype = "f32";  ///< name of the type of its weights at work; "mixed" for a type for
                              ///< each matrix
  index_t train_pictures = 0, test_pictures = 0;  ///< sizes of the data set
  std::vector<std::string> class_names;           ///< of the data set
  double classifier_accuracy = 0;  ///< of the judge on the real test set; 0 without samples
  std::vector<double> classifier_by_class;  ///< the same for each class
  std::optional<SampleQuality> unguided;    ///< samples without guidance
  std::optional<SampleQuality> guided;      ///< samples with guidance
  std::optional<NeighbourQuality>
      neighbours;  ///< of the unguided samples, or else of the guided ones
  std::optional<ReconstructionQuality> reconstruction;  ///< of the test set
  std::optional<ProbeQuality> probes;                   ///< of the latents
};

/// The report as a map with the members' names; NaN becomes null.
[[nodiscard]] ConfigNode to_config(const EvaluationReport& report);
/// The report as a table for people.
[[nodiscard]] std::string to_text(const EvaluationReport& report);

/// Measures the parts that the bundle has: samples need DiT and decoder, reconstruction and probes
/// encoder and decoder. Pictures of both sets must have the model's channels and size
/// (`DatasetOptions` with `image_size`, `image_width` and the encoder's channels), the DiT as many
/// classes as the sets.
///
/// In `options.folder` it leaves evaluation.json, evaluation.txt, samples.png and
/// samples_guided.png (a row for each of up to 20 classes), neighbours.png (each row: a sample and
/// its four nearest training pictures), nearest.png (samples, each beside its nearest training
/// picture, five pairs in a row, enlarged when they are small), reconstructions.png (test pictures
/// above their reconstructions), and classifier.safetensors, with which the next evaluation begins.
///
/// The report is a function of bundle, data and options, whatever the number of ranks; it is
/// complete on rank 0. An error of one rank is thrown on all. Throws ConfigError when these do not
/// fit each other, ArgumentError for options out of range, Cancelled, FileError, and what training
/// and sampling throw.
[[nodiscard]] EvaluationReport evaluate(const Bundle& bundle,
                                        OwnedPointer<const ImageDataset> train,
                                        OwnedPointer<const ImageDataset> test,
                                        const EvaluationOptions& options = {});

}  // namespace rae
