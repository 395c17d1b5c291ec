// The adversarial part of the decoder's training: a discriminator that learns to tell
// reconstructions from pictures, in alternation with the decoder.
//
// Diffusion Transformers with Representation Autoencoders, section 3 (L_GAN); official
// train_stage1.py.
#pragma once

#include "rae/models/dino_disc.hpp"
#include "rae/train/decoder_loss.hpp"
#include "rae/train/diff_augment.hpp"
#include "rae/train/gan_loss.hpp"
#include "rae/train/training_loop.hpp"

namespace rae {

/// The adversarial loss of the decoder. The defaults are official but for the beginnings, which are
/// epoch 8 and 6 there.
struct GanOptions {
  std::string backbone;   ///< file of the frozen transformer, see `open_dino_discriminator`
  index_t num_heads = 0;  ///< of its attention; 0: one per 64 channels, as in all of DINO's
  std::vector<index_t> key_layers{2, 5, 8, 11};  ///< see `DinoDiscConfig`
  index_t kernel_size = 9;                       ///< see `DinoDiscConfig`
  GanLoss loss = GanLoss::hinge;                 ///< of the discriminator
  double weight = 0.75;     ///< of the decoder's adversarial loss, times the adaptive weight
  double max_weight = 1e4;  ///< largest adaptive weight
  LossStart start{};        ///< when the decoder begins to see the discriminator
  LossStart discriminator_start{};  ///< when the discriminator begins to learn
  index_t updates = 1;              ///< steps of the discriminator per step of the decoder
  DiffAugOptions augment{};         ///< of the pictures that the discriminator sees
  std::optional<TrainingOptions>
      training{};  ///< rate, schedule, betas and decay; without it the decoder's, and no clipping
};

/// The discriminator on the backbone of these options. Throws as `open_dino_discriminator`.
[[nodiscard]] DinoDiscriminator<Var<float>> open_discriminator(const GanOptions& options);

/// The discriminator with its optimiser.
class Adversary {
 public:
  /// `training`: `options.training` if given, else the options of the decoder.
  Adversary(DinoDiscriminator<Var<float>> discriminator, const GanOptions& options,
            const TrainingOptions& training);

  /// L_GAN = -mean D(aug(2 recon - 1)) and its gradient at `recon` (B, 3, H, W) in [0, 1]; the
  /// discriminator stays as it is. Throws ShapeError.
  [[nodiscard]] LossGradient operator()(const Tensor<float>& recon, const DiffAugDraws& draws);

  /// Adds the gradient of `share` times the discriminator's loss for reconstructions, which are
  /// clamped and rounded to the 256 levels of a file first, and pictures, (B, 3, H, W) in [0, 1].
  /// Takes a step of the power iteration before each of the two. Throws ShapeError.
  void learn(const Tensor<float>& recon, const Tensor<float>& images, const DiffAugDraws& fake,
             const DiffAugDraws& real, double share = 1);

  /// One step of the optimiser, at the rate that the schedule has for the discriminator's own
  /// steps. Throws NumericError.
  void step();

  /// For the training loop; `train_step` is left empty for the caller to set. Refers to this
  /// object.
  [[nodiscard]] SecondModel second_model();

  /// Losses and accuracy since the last `step`, for logs.
  [[nodiscard]] const std::map<std::string, double>& measurements() const noexcept {
    return measurements_;
  }

  DinoDiscriminator<Var<float>> discriminator;
  AdamW<float> optimizer;

 private:
  GanOptions options_;
  LrSchedule schedule_;
  double max_grad_norm_;
  std::map<std::string, double> measurements_;
};

}  // namespace rae
