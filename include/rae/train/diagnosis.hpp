// Measures of an encoder on pictures, layer by layer, before anything is trained on it; and the
// settings of a recipe that follow from them.
//
// Width of the head: Theorem 1 of Diffusion Transformers with Representation Autoencoders (arXiv
// 2510.11690); time shift: its section 4; noise of the decoder: section 3. Means of several layers:
// RAEv2 (arXiv 2605.18324).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/io/image_dataset.hpp"
#include "rae/metrics/knn_probe.hpp"
#include "rae/models/encoder_network.hpp"
#include "rae/models/pixel_norm.hpp"

namespace rae {

/// Measures of the tokens that the layers first ... last, counted from 1, give on average.
struct LayerMeasures {
  index_t first = 1, last = 1;
  double effective_rank = 0;  ///< of tokens, in [0, D]; see token_spectrum.hpp
  double anisotropy = 0;      ///< of tokens, in [-1, 1]
  double deviation = 0;       ///< of one element of a token: root of the mean variance
  /// Shares in [0, 1] of test pictures that two classifiers assign to their class by the mean of
  /// a picture's tokens; absent without classes.
  std::optional<double> knn{}, linear{};
};

/// How an encoder is measured.
struct DiagnosisOptions {
  index_t train_pictures = 2000;  ///< from which the classifiers learn, at most
  index_t test_pictures = 1000;   ///< that they classify, at most
  index_t tokens = 4096;          ///< of which rank and anisotropy are taken, at most
  index_t batch = 16;             ///< pictures that are encoded together
  KnnOptions knn{};               ///< k is reduced where there are fewer pictures
  Function<bool(index_t done, index_t total)> on_progress{};  ///< false stops. May be empty
};

/// The measures of an encoder.
struct Diagnosis {
  Shape latent;                                   ///< (C, h, w)
  index_t classes = 0;                            ///< 0: without, or a single one
  index_t train_pictures = 0, test_pictures = 0;  ///< that were used
  std::vector<LayerMeasures> layers{};            ///< of each layer
  std::vector<LayerMeasures> means{};             ///< of the last 1, 2, 4, ... layers, and of all
  std::vector<double> spectrum{};  ///< of the last layer's tokens with elements of variance 1, as
  ///< normalised latents have; see `token_spectrum`
};

/// Measures an encoder on pictures in [0, 1] of the encoder's input size, which are normalised by
/// `pixels`. Pictures are chosen by chance with a fixed seed. `test` may be null, or without
/// classes; then nothing is classified. Throws ShapeError where the pictures do not fit the
/// encoder, ArgumentError for options that are not positive, Cancelled, and as the data set.
[[nodiscard]] Diagnosis diagnose(const EncoderNetwork<Tensor<float>>& encoder,
                                 const PixelNorm& pixels, const ImageDataset& train,
                                 const ImageDataset* test, const DiagnosisOptions& options = {});

/// A setting of a recipe, and the reason for it.
struct Advice {
  std::string key;     ///< of the recipe, "model.time_shift"
  std::string value;   ///< as it is written there
  std::string reason;  ///< one sentence
};

/// Settings that follow from the measures.
[[nodiscard]] std::vector<Advice> advice_for(const Diagnosis& diagnosis);

}  // namespace rae
