// A variational autoencoder with the transformers of RAE: the encoder is trained too, and gives a
// normal distribution over narrow tokens. With it the paper's question, which latents a diffusion
// transformer learns fastest, can be asked at equal sizes.
//
// Kingma and Welling 2014, "Auto-Encoding Variational Bayes"; Rombach et al. 2022, "High-Resolution
// Image Synthesis with Latent Diffusion Models", section 3.1 (KL-regularised latents). Compared in
// Diffusion Transformers with Representation Autoencoders, section 6.
#pragma once

#include <utility>

#include "rae/models/initialize.hpp"
#include "rae/models/rae.hpp"
#include "rae/ops/gaussian.hpp"

namespace rae {

/// Sizes of the encoder of a VAE.
struct VaeEncoderConfig {
  EncoderConfig vit{};     ///< the transformer
  index_t latent_dim = 4;  ///< C, elements of a token of the latent
};

/// Normalised pictures (B, channels, h*P, w*P) -> distributions of tokens (B, h*w, C). As an
/// encoder of latents it gives the means.
template <Operand X>
class VaeEncoder {
 public:
  using T = typename X::value_type;

  /// Weights are zero. Throws ConfigError for heads that do not divide the width, or no elements.
  explicit VaeEncoder(const VaeEncoderConfig& config) : vit(config.vit), config_(config) {
    if (config.latent_dim < 1)
      raise<ConfigError>("VaeEncoder: expected at least one element of a latent token, got ",
                         config.latent_dim);
    head = Linear<X>(config.vit.hidden_size, 2 * config.latent_dim);
  }

  /// Means and logarithms of variances, (B, N, 2C). Throws ShapeError.
  X moments(const X& images) const { return head(vit(images)); }

  /// Means (B, N, C). Throws ShapeError.
  X operator()(const X& images) const { return gaussian_mean(moments(images)); }

  /// The sizes given to the constructor.
  [[nodiscard]] const VaeEncoderConfig& config() const noexcept { return config_; }

  /// Calls f(name, parameter) for every parameter.
  template <class F>
  void parameters(F&& f) {
    visit("vit.", vit, f);
    visit("head.", head, f);
  }

  Encoder<X> vit;
  Linear<X> head;  // (2C, D)

 private:
  VaeEncoderConfig config_;
};

/// Describes the encoder of a VAE to AdaptedEncoder.
struct VaeEncoderKind {
  using Config = VaeEncoderConfig;  ///< sizes of an encoder
  /// The encoder for one tensor type.
  template <class X>
  using Network = VaeEncoder<X>;

  /// Channels, patch size and width.
  static EncoderShape shape(const Config& c) {
    return {c.vit.channels, c.vit.patch_size, c.latent_dim};
  }
};

/// The encoder of a VAE as an EncoderNetwork, whose tokens are the means.
template <Operand X>
[[nodiscard]] OwnedPointer<EncoderNetwork<X>> encoder_network(VaeEncoder<X> encoder) {
  const VaeEncoderConfig config = encoder.config();
  return OwnedPointer<detail::AdaptedEncoder<VaeEncoderKind, X>>::make(config, std::move(encoder));
}

/// Both networks of a VAE.
template <Operand X>
struct Vae {
  VaeEncoder<X> encoder;
  Decoder<X> decoder;

  /// Weights are zero. Throws ConfigError unless the decoder takes the encoder's tokens.
  Vae(const VaeEncoderConfig& e, const DecoderConfig& d) : encoder(e), decoder(d) {
    if (d.in_dim != e.latent_dim)
      raise<ConfigError>("Vae: the decoder expects tokens of ", d.in_dim,
                         " channels, the encoder makes ", e.latent_dim);
  }

  /// Calls f(name, parameter) for every parameter.
  template <class F>
  void parameters(F&& f) {
    visit("encoder.", encoder, f);
    visit("decoder.", decoder, f);
  }
};

/// Initial weights: those of a new encoder and a new decoder, Xavier for the layer of the moments.
template <Operand X>
void initialize(Vae<X>& model, std::uint64_t seed) {
  initialize(model.encoder.vit, seed);
  init_xavier(model.encoder.head, seed, std::uint64_t{1} << 21);  // no stream of the encoder
  // Another seed, since equal streams of one seed would give both networks the same numbers.
  initialize(model.decoder, seed + 1);
}

/// A VAE as an autoencoder: its latents are the means, normalised by `latent_norm`, as stage 2
/// takes them. `pixels`: the normalisation with which it was trained.
template <Real T>
[[nodiscard]] Rae<T> vae_autoencoder(Vae<Tensor<T>> vae, const PixelNorm& pixels,
                                     LatentNorm<T> latent_norm = {}) {
  return Rae<T>(encoder_network(std::move(vae.encoder)),
                OwnedPointer<const Decoder<Tensor<T>>>::make(std::move(vae.decoder)),
                {.pixels = pixels, .latent_norm = std::move(latent_norm)});
}

}  // namespace rae
