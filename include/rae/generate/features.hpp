// Features of pictures, from which sets of pictures are compared: pooled tokens of a frozen
// encoder, or Inception-v3.
//
// Sources: Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter, "GANs trained by a two time-scale
// update rule" (2017), for Inception; Stein et al., "Exposing flaws of generative model evaluation
// metrics" (2023), for the features of self-supervised encoders.
#pragma once

#include <span>
#include <string>

#include "rae/core/owner.hpp"
#include "rae/formats/huggingface_encoder.hpp"
#include "rae/io/image.hpp"
#include "rae/io/tensor_source.hpp"

namespace rae {

/// A network that turns pictures into vectors. A value: copies are cheap and share the weights; all
/// members can be called from several threads.
class FeatureExtractor {
 public:
  /// The mean of the tokens (before the latents' normalisation) of a model's encoder. Pictures are
  /// prepared as for the autoencoder: the central part at the model's size, gray or RGB as the
  /// model is. Throws FormatError when the model has no encoder or tensors are missing, ShapeError,
  /// MemoryError.
  [[nodiscard]] static FeatureExtractor encoder(const ModelFiles& files);

  /// The same for an encoder alone, on 16 x 16 patches, or on the grid of its position table if
  /// that is smaller. `name` is used in reports and messages.
  [[nodiscard]] static FeatureExtractor encoder(const PretrainedEncoder& pretrained,
                                                const std::string& name);

  /// Inception-v3 with the weights of torch-fidelity or pytorch-fid
  /// (pt_inception-2015-12-05-6726825d.pth). Pictures of any size are resized as TensorFlow 1 did;
  /// gray is repeated. Throws FormatError when a tensor is missing or the file is torchvision's
  /// network, which gives other numbers; ShapeError, NumericError.
  [[nodiscard]] static FeatureExtractor inception(const TensorSource& weights);

  /// Features (B, D) of pictures of any sizes. Those of a picture do not depend on the others.
  /// Throws ArgumentError without pictures or for empty ones.
  [[nodiscard]] Tensor<float> operator()(std::span<const Image> images) const;

  /// Logits (B, classes) of features (B, D), for the Inception score. Throws ArgumentError unless
  /// this is Inception.
  [[nodiscard]] Tensor<float> logits(const Tensor<float>& features) const;

  /// The number D of features of a picture.
  [[nodiscard]] index_t dimension() const noexcept;
  /// True for Inception, which has logits.
  [[nodiscard]] bool is_inception() const noexcept;
  /// Description of the features for reports.
  [[nodiscard]] const std::string& name() const noexcept;
  /// Number of pictures that are evaluated at a time.
  [[nodiscard]] index_t batch_size() const noexcept;

  /// Implementation, private to the library.
  struct Network;

 private:
  explicit FeatureExtractor(OwnedPointer<const Network> network) : network_(std::move(network)) {}

  OwnedPointer<const Network> network_;
};

}  // namespace rae
