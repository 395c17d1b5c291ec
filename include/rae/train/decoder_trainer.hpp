// Stage 1: the decoder learns pixels from the frozen encoder's noised tokens, by L1 and a perceptual term in the encoder's own features.
//
// Diffusion Transformers with Representation Autoencoders, section 3.3 and appendix (noise-augmented decoding); the official stage 1 takes
// VGG16 features (LPIPS) where this takes those of the frozen encoder, which needs no further weights.
#pragma once

#include "rae/models/rae.hpp"
#include "rae/train/batches.hpp"
#include "rae/train/training_loop.hpp"

namespace rae {

/// The decoder's task.
struct DecoderLossOptions {
  double noise_tau = 0.8;                  ///< largest deviation of the noise that is added to tokens
  NoiseLaw noise_law = NoiseLaw::uniform;  ///< how its strength is drawn
  double perceptual_weight = 1.0;          ///< of the features' squared error, beside 1 for L1 of pixels in [0, 1]
  Augmentation augmentation{};             ///< of the pictures
};

/// The decoder's loss, with the frozen encoder that measures pictures.
class DecoderLoss {
 public:
  DecoderLoss(Encoder<Tensor<float>>& encoder, const PixelNorm& pixels, double perceptual_weight);

  /// mean |pixels - image| + perceptual_weight * mean over layers of mean (features - features of image)^2. `tokens` (B, N, D) are what
  /// the decoder sees, `images` (B, C, H, W) in [0, 1] what it should say.
  [[nodiscard]] Var<float> operator()(const Decoder<Var<float>>& decoder, const Tensor<float>& tokens, const Tensor<float>& images) const;

 private:
  const Encoder<Tensor<float>>& encoder_;
  Encoder<Var<float>> recorded_;  // the same weights, without gradients, where a tape must pass through
  PixelNorm pixels_;
  double perceptual_weight_;
};

/// Trains a new decoder on a data set; returns it with its averaged weights. `encoder` is left as it is. Throws as `run_training`, and
/// ConfigError when encoder, decoder and pictures do not fit.
[[nodiscard]] Decoder<Tensor<float>> train_decoder(std::shared_ptr<const ImageDataset> data, Encoder<Tensor<float>>& encoder,
                                                   const PixelNorm& pixels, const DecoderConfig& config, const DecoderLossOptions& loss,
                                                   const TrainingOptions& options, const TrainingContext& context);

}  // namespace rae
