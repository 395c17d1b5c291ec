// Stage 1: the decoder learns pixels from the frozen encoder's noised tokens, by L1, a perceptual
// loss and an adversarial one.
//
// Diffusion Transformers with Representation Autoencoders, sections 3 and 4 (noise-augmented
// decoding); official train_stage1.py.
#pragma once

#include "rae/core/owner.hpp"
#include "rae/models/decoder.hpp"
#include "rae/models/noise_augment.hpp"
#include "rae/train/adversary.hpp"
#include "rae/train/batches.hpp"

namespace rae {

/// The decoder's task.
struct DecoderLossOptions {
  double noise_tau = 0.8;  ///< largest deviation of the noise that is added to tokens
  NoiseLaw noise_law = NoiseLaw::uniform;  ///< how its strength is drawn
  double perceptual_weight =
      1.0;  ///< of the squared error of the encoder's features, beside 1 for L1 of pixels in [0, 1]
  Augmentation augmentation{};  ///< of the pictures
  index_t encoder_size =
      0;  ///< height to which pictures are resized before the encoder; 0 leaves them as they are
  index_t encoder_width = 0;                   ///< their width; 0: encoder_size
  PixelRange output = PixelRange::normalized;  ///< pixels that the decoder makes
  std::optional<LpipsOptions> lpips{};         ///< the official perceptual loss
  std::optional<GanOptions> gan{};             ///< the official adversarial loss
};

/// One iteration of stage 1 in its two parts, between which the decoder's optimiser steps. Keeps
/// references to decoder and encoder.
class DecoderIteration {
 public:
  /// Reads the networks that the losses need. `training` counts where the discriminator has no
  /// options of its own. Throws as `open_lpips` and `open_dino_discriminator`.
  DecoderIteration(Decoder<Var<float>>& decoder, const EncoderNetwork<Tensor<float>>& encoder,
                   const PixelNorm& pixels, const DecoderLossOptions& options,
                   const TrainingOptions& training, index_t steps_per_epoch);

  /// From now on the batches of several ranks count as one in the adaptive weight: `add` adds the
  /// elements over all ranks, and `share` is that of this rank's pictures.
  void share_batches(Function<void(std::span<float>)> add, double share) {
    add_over_ranks_ = std::move(add);
    share_ = share;
  }

  /// The decoder's picture (B, C, H, W) in [0, 1], not clamped, of tokens (B, N, D).
  [[nodiscard]] Var<float> reconstruct(const Tensor<float>& tokens) const;

  /// L_rec, or from the adversary's start L_rec + weight * lambda * L_GAN with lambda = |dL_rec /
  /// dW| / (|dL_GAN / dW| + 1e-6), W the weight of the decoder's last layer; recorded on the
  /// current tape. `tokens` (B, N, D) with noise, `images` (B, C, H, W) in [0, 1].
  [[nodiscard]] Var<float> loss(index_t step, const Tensor<float>& tokens,
                                const Tensor<float>& images, const DiffAugDraws& draws);

  /// L_rec alone, of the same arguments.
  [[nodiscard]] Var<float> reconstruction_loss(index_t step, const Tensor<float>& tokens,
                                               const Tensor<float>& images) const;

  /// True when the discriminator learns in this step.
  [[nodiscard]] bool discriminator_learns(index_t step) const noexcept;

  /// Adds the gradient of `share` times the discriminator's loss, for what the decoder makes of
  /// tokens without noise now.
  void learn_discriminator(const Tensor<float>& tokens, const Tensor<float>& images,
                           const DiffAugDraws& fake, const DiffAugDraws& real, double share = 1);

  /// The discriminator, or null.
  [[nodiscard]] Adversary* adversary() noexcept { return adversary_ ? &*adversary_ : nullptr; }

  /// Parts of the losses, for logs.
  [[nodiscard]] std::map<std::string, double> measurements() const;

 private:
  /// The decoder's image (B, C, H, W) as a picture in [0, 1].
  [[nodiscard]] Var<float> picture(const Var<float>& image) const;
  /// The gradient at the last layer's weight for one at the picture.
  [[nodiscard]] Tensor<float> at_last_layer(const Var<float>& hidden,
                                            const Tensor<float>& gradient) const;

  Decoder<Var<float>>& decoder_;
  PixelNorm pixels_;
  PixelRange output_;
  DecoderLoss reconstruction_;
  std::optional<Adversary> adversary_;
  Function<void(std::span<float>)> add_over_ranks_{};  // empty with one rank
  double share_ = 1;
  double weight_ = 0, max_weight_ = 0, adaptive_weight_ = 0;
  index_t first_step_ = 0, discriminator_first_step_ = 0;
};

/// Receives the decoder with its averaged weights after `step` steps.
using OnAverageDecoder = Function<void(index_t step, Decoder<Tensor<float>>& average)>;

/// Trains a new decoder on a data set; returns it with its averaged weights. `encoder` is left as
/// it is. `on_average` may be empty; else it is called at each checkpoint. Throws as
/// `run_training`, and ConfigError when encoder, decoder and pictures do not fit.
[[nodiscard]] Decoder<Tensor<float>> train_decoder(
    OwnedPointer<const ImageDataset> data, const EncoderNetwork<Tensor<float>>& encoder,
    const PixelNorm& pixels, const DecoderConfig& config, const DecoderLossOptions& loss,
    const TrainingOptions& options, TrainingContext context,
    const OnAverageDecoder& on_average = {});

}  // namespace rae
