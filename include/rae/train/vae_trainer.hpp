// Training of a variational autoencoder end to end: reconstruction and the divergence of the
// latents from the standard normal distribution.
//
// Kingma and Welling 2014, "Auto-Encoding Variational Bayes", equation 10; Rombach et al. 2022,
// "High-Resolution Image Synthesis with Latent Diffusion Models", appendix G.
#pragma once

#include "rae/core/owner.hpp"
#include "rae/models/vae.hpp"
#include "rae/train/batches.hpp"
#include "rae/train/training_loop.hpp"

namespace rae {

/// A reconstruction loss, a scalar, of pictures `recon` and `images` (B, C, H, W) in [0, 1] at a
/// step: for example a DecoderLoss, with its perceptual terms.
using ReconstructionLoss =
    Function<Var<float>(const Var<float>& recon, const Tensor<float>& images, index_t step)>;

/// The task of a VAE.
struct VaeLossOptions {
  /// Of the divergence, the mean over all elements of a latent in nats, beside 1 for the
  /// reconstruction loss. Latent diffusion sums both over a picture: its weight w is w times the
  /// elements of a latent divided by those of a picture here.
  double kl_weight = 1e-4;
  ReconstructionLoss reconstruction{};  ///< empty: L1 of pixels in [0, 1]
  Augmentation augmentation{};          ///< of the pictures
};

/// Standard normal noise (B, N, C) of the samples `first` and following, each from its own stream
/// of the seed.
[[nodiscard]] Tensor<float> latent_noise(const Shape& shape, std::uint64_t seed,
                                         std::uint64_t first);

/// reconstruction + kl_weight * divergence, a scalar, for pictures (B, C, H, W) in [0, 1] and noise
/// (B, N, C) of the latents. Throws ShapeError.
[[nodiscard]] Var<float> vae_loss(const Vae<Var<float>>& model, const PixelNorm& pixels,
                                  const Tensor<float>& images, const Tensor<float>& noise,
                                  const VaeLossOptions& options, index_t step = 0);

/// Receives the networks with their averaged weights after `step` steps.
using OnAverageVae = Function<void(index_t step, Vae<Tensor<float>>& average)>;

/// Trains a new VAE on a data set; returns it with its averaged weights. `on_average` may be empty;
/// else it is called at each checkpoint. `pixels` normalises the encoder's pictures; the decoder
/// makes pictures in the same units. Throws as `run_training`, and ConfigError when pictures and
/// configurations do not fit.
[[nodiscard]] Vae<Tensor<float>> train_vae(OwnedPointer<const ImageDataset> data,
                                           const VaeEncoderConfig& encoder,
                                           const DecoderConfig& decoder, const PixelNorm& pixels,
                                           const VaeLossOptions& loss,
                                           const TrainingOptions& options, TrainingContext context,
                                           const OnAverageVae& on_average = {});

}  // namespace rae
