// Stage 0, pretraining of a small encoder where no pretrained one exists: labels, masked pictures
// and self-distillation at once, each with its weight.
//
// Half of the pictures lose part of their patches, and all pixels are predicted (He et al. 2022,
// "Masked Autoencoders", and Xie et al. 2022, "SimMIM"); all pictures are classified. The first
// keeps in the tokens the details that a decoder needs, the second the meaning that a generator
// needs; self-distillation (self_distillation.hpp) gives meaning without labels.
#pragma once

#include <optional>

#include "rae/core/owner.hpp"
#include "rae/models/encoder.hpp"
#include "rae/models/pixel_norm.hpp"
#include "rae/ops/loss.hpp"
#include "rae/train/batch_mix.hpp"
#include "rae/train/batches.hpp"
#include "rae/train/self_distillation.hpp"
#include "rae/train/training_loop.hpp"

namespace rae {

/// Weights of the pretraining's tasks.
struct PretrainingOptions {
  double mask_probability = 0.5;  ///< share of pictures that are masked
  double mask_ratio = 0.5;        ///< share of their patches that is taken away
  double pixel_weight =
      1.0;  ///< of the squared error of all pixels, in units of the pixels' deviation
  double label_weight =
      1.0;  ///< of the cross-entropy of the classes; 0 makes the pretraining self-supervised
  double label_smoothing = 0;  ///< share of a target that is divided among all classes, in [0, 1]
  MixOptions mix{};            ///< of the pictures, after the augmentation and before the masks
  DistillationOptions distillation{};  ///< not together with `mix`, and not with several ranks
  Augmentation augmentation{};         ///< of the pictures
};

/// An encoder and the heads that only its pretraining needs. Pictures have one size, that of
/// the position table.
template <Operand X>
struct PretrainingModel {
  Encoder<X> encoder;
  Linear<X> classifier;  // all tokens of a picture -> logits
  VitBlock<X> predictor;
  Linear<X> pixels;
  std::optional<DistillationHead<X>> distillation;  // absent without prototypes

  PretrainingModel(const EncoderConfig& c, index_t classes, index_t prototypes = 0)
      : encoder(c),
        classifier(c.table_h * c.table_w * c.hidden_size, classes),
        predictor(c.hidden_size, c.intermediate_size, c.num_heads, c.layer_norm_eps,
                  Activation::gelu, false),
        pixels(c.hidden_size, c.channels * c.patch_size * c.patch_size) {
    if (prototypes > 0) distillation.emplace(c.hidden_size, prototypes);
  }

  /// Logits (B, classes) of tokens (B, N, D).
  X classify(const X& tokens) const {
    return classifier(reshape(tokens, {tokens.shape()[0], tokens.shape()[1] * tokens.shape()[2]}));
  }

  /// Normalised patches (B, N, C*P*P) of tokens (B, N, D).
  X predict(const X& tokens) const { return pixels(predictor(tokens)); }

  template <class F>
  void parameters(F&& f) {
    visit("encoder.", encoder, f);
    visit("classifier.", classifier, f);
    visit("predictor.", predictor, f);
    visit("pixels.", pixels, f);
    if (distillation) visit("distillation.", *distillation, f);
  }
};

/// The patches (B, N) that `mask_patches` takes out of pictures (B, C, H, W): 1, the others 0.
/// Sample b draws from stream `first` + b.
[[nodiscard]] Tensor<float> masked_patches(const Shape& images, index_t patch_size,
                                           const PretrainingOptions& options, std::uint64_t seed,
                                           std::uint64_t first);

/// Takes patches out of normalised pictures (B, C, H, W): their pixels become 0, the mean.
[[nodiscard]] Tensor<float> mask_patches(Tensor<float> images, index_t patch_size,
                                         const PretrainingOptions& options, std::uint64_t seed,
                                         std::uint64_t first);

/// label_weight * cross-entropy + pixel_weight * mean squared error + the weighted
/// `distillation_loss`, if there are targets of a `teacher`. `masked` and `images` (B, C, H, W) are
/// normalised.
[[nodiscard]] Var<float> pretraining_loss(const PretrainingModel<Var<float>>& model,
                                          const Tensor<float>& masked, const Tensor<float>& images,
                                          std::span<const std::int64_t> labels,
                                          const PretrainingOptions& options,
                                          const DistillationTargets* teacher = nullptr);
/// The same for targets (B, classes) instead of labels, such as those of `mix_with_next`, which are
/// smoothed already, and without a teacher.
[[nodiscard]] Var<float> pretraining_loss(const PretrainingModel<Var<float>>& model,
                                          const Tensor<float>& masked, const Tensor<float>& images,
                                          const Tensor<float>& targets,
                                          const PretrainingOptions& options);

/// Receives the encoder with its averaged weights after `step` steps.
using OnAverageEncoder = Function<void(index_t step, Encoder<Tensor<float>>& average)>;

/// Trains a new encoder on a data set; returns it with its averaged weights. `on_average` may be
/// empty; else it is called at each checkpoint. Throws as `run_training`, `require_mix` and
/// `require_distillation`, and ConfigError when pictures and configuration, or the options, do not
/// fit together.
[[nodiscard]] Encoder<Tensor<float>> train_encoder(
    OwnedPointer<const ImageDataset> data, const EncoderConfig& config, const PixelNorm& pixels,
    const PretrainingOptions& pretraining, const TrainingOptions& options, TrainingContext context,
    const OnAverageEncoder& on_average = {});

}  // namespace rae
