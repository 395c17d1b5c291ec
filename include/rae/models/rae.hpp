// RAE: frozen encoder, latent normalisation, trained decoder. Diffusion Transformers with
// Representation Autoencoders, section 3; official class RAE.
#pragma once

#include <array>
#include <span>

#include "rae/core/math.hpp"
#include "rae/core/random.hpp"
#include "rae/models/decoder.hpp"
#include "rae/models/encoder.hpp"

namespace rae {

/// How the strength of the decoder's training noise is drawn: sigma = tau * U(0, 1), as the
/// official code does, or sigma = |N(0, tau^2)|, as the paper says.
enum class NoiseLaw { uniform, half_normal };

/// Adds sigma * N(0, 1) to tokens (B, N, D), sigma drawn once per sample. Sample b takes its draws
/// from stream `first_stream` + b, so a sample's noise does not depend on the batch that it is in.
/// Section 4 (noise-augmented decoding).
template <Real T>
Tensor<T> noise_augment(const Tensor<T>& tokens, double tau, NoiseLaw law, std::uint64_t seed,
                        std::uint64_t first_stream) {
  if (!(tau >= 0)) raise<ArgumentError>("noise_augment: tau must not be negative, got ", tau);
  if (tau == 0) return tokens;
  Tensor<T> out(tokens.shape());
  T* target = out.data();
  const index_t n = tokens.numel() / tokens.extent(0);
  for (index_t b = 0; b < tokens.extent(0); ++b) {
    const Philox random(seed, first_stream + static_cast<std::uint64_t>(b));
    // Index 0 belongs to sigma; the noise starts behind the block that it lies in.
    const double draw = law == NoiseLaw::uniform ? random.uniform(0) : math::fabs(random.normal(0));
    T* noise = target + b * n;
    random.fill_normal(std::span(noise, static_cast<std::size_t>(n)), 4);
    for (index_t i = 0; i < n; ++i)
      noise[i] = tokens[b * n + i] + static_cast<T>(tau * draw) * noise[i];
  }
  return out;
}

/// Statistics of the latents over a data set, (C, h, w) each; an empty mean counts as 0, an empty
/// variance as 1.
template <Real T>
struct LatentNorm {
  Tensor<T> mean, var;
  double eps = 1e-5;

  /// (z - mean) / sqrt(var + eps) for z (B, C, h, w). Throws ShapeError.
  [[nodiscard]] Tensor<T> normalize(const Tensor<T>& z) const {
    return apply(z, [this](T value, index_t i) { return (value - mean_at(i)) / deviation_at(i); });
  }
  /// z * sqrt(var + eps) + mean for z (B, C, h, w). Throws ShapeError.
  [[nodiscard]] Tensor<T> denormalize(const Tensor<T>& z) const {
    return apply(z, [this](T value, index_t i) { return value * deviation_at(i) + mean_at(i); });
  }

 private:
  [[nodiscard]] T mean_at(index_t i) const { return mean.empty() ? T(0) : mean[i]; }
  [[nodiscard]] T deviation_at(index_t i) const {
    return var.empty() ? T(1) : static_cast<T>(math::sqrt(static_cast<double>(var[i]) + eps));
  }

  template <class F>
  Tensor<T> apply(const Tensor<T>& z, F f) const {
    if (mean.empty() && var.empty()) return z;
    if (z.rank() != 4)
      raise<ShapeError>("LatentNorm: expected a latent (B, C, h, w), got ", z.shape());
    const Shape expected{z.extent(1), z.extent(2), z.extent(3)};
    if (!mean.empty()) require_shape("LatentNorm: mean", mean.shape(), expected);
    if (!var.empty()) require_shape("LatentNorm: var", var.shape(), expected);
    Tensor<T> out(z.shape());
    T* target = out.data();
    const index_t n = expected.numel();
    for (index_t i = 0; i < z.numel(); ++i) target[i] = f(z[i], i % n);
    return out;
  }
};

/// Mean and deviation of the encoder's pixels, per channel.
struct PixelNorm {
  std::array<double, 3> mean{0.485, 0.456, 0.406}, std{0.229, 0.224, 0.225};
};

namespace detail {
template <Real T, class F>
Tensor<T> per_channel(Tensor<T> image, const PixelNorm& norm, F f) {
  const index_t channels = image.extent(1), plane = image.extent(2) * image.extent(3);
  T* pixels = image.data();
  for (index_t i = 0; i < image.numel(); ++i) {
    const auto c = static_cast<std::size_t>(i / plane % channels);
    pixels[i] = static_cast<T>(f(static_cast<double>(pixels[i]), norm.mean[c], norm.std[c]));
  }
  return image;
}
}  // namespace detail

/// (image - mean) / std per channel, for pictures (B, channels, H, W) in [0, 1].
template <Real T>
Tensor<T> normalize_pixels(Tensor<T> image, const PixelNorm& norm) {
  return detail::per_channel(std::move(image), norm,
                             [](double v, double mean, double std) { return (v - mean) / std; });
}
/// The reverse: image * std + mean.
template <Real T>
Tensor<T> denormalize_pixels(Tensor<T> image, const PixelNorm& norm) {
  return detail::per_channel(std::move(image), norm,
                             [](double v, double mean, double std) { return v * std + mean; });
}

/// What the encoder sees of pictures (B, channels, H, W) in [0, 1]: brought to height and width,
/// unless these are 0, and normalised. Throws ShapeError.
template <Real T>
Tensor<T> encoder_input(const Tensor<T>& image, index_t height, index_t width,
                        const PixelNorm& pixels) {
  const Shape s = image.shape();
  if (s.rank() != 4 || s[1] > 3)
    raise<ShapeError>("Rae::encode: expected pictures (B, channels, H, W), got ", s);
  const bool fits = height == 0 || (s[2] == height && s[3] == width);
  return normalize_pixels(fits ? image : resize(image, Resize::bicubic, height, width), pixels);
}

/// The same for a square.
template <Real T>
Tensor<T> encoder_input(const Tensor<T>& image, index_t size, const PixelNorm& pixels) {
  return encoder_input(image, size, size, pixels);
}

/// The autoencoder for inference: pictures (B, channels, H, W) in [0, 1] to latents (B, C, h, w)
/// and back.
template <Real T>
class Rae {
 public:
  using X = Tensor<T>;

  /// `encoder_size`: the side to which pictures are resized before the encoder; 0 leaves them as
  /// they are.
  Rae(const EncoderConfig& encoder_config, const DecoderConfig& decoder_config,
      index_t encoder_size, const PixelNorm& pixels)
      : Rae(encoder_config, decoder_config, encoder_size, encoder_size, pixels) {}

  /// The same with the height and the width to which pictures are resized; both 0 leave them as
  /// they are.
  Rae(const EncoderConfig& encoder_config, const DecoderConfig& decoder_config,
      index_t encoder_height, index_t encoder_width, const PixelNorm& pixels)
      : encoder(encoder_config),
        decoder(decoder_config),
        encoder_height_(encoder_height),
        encoder_width_(encoder_width),
        pixels_(pixels) {}

  /// Patch tokens before normalisation: (B, N, D). Throws ShapeError.
  [[nodiscard]] X encode_tokens(const X& image) const {
    return encoder(encoder_input(image, encoder_height_, encoder_width_, pixels_));
  }

  /// Normalised latents (B, C, h, w), on the encoder's grid. Throws ShapeError, also when that is
  /// not the grid of the statistics.
  [[nodiscard]] X encode(const X& image) const {
    const X input =
        encoder_input(image, encoder_height_, encoder_width_, pixels_);  // (B, channels, H, W)
    const index_t patch = encoder.config().patch_size;
    return latent_norm.normalize(
        tokens_to_grid(encoder(input), input.extent(2) / patch, input.extent(3) / patch));
  }

  /// Pictures (B, channels, H, W) of the decoder's size for normalised latents of any grid; not
  /// clamped to [0, 1]. Throws ShapeError, also when the grid is not that of the statistics.
  [[nodiscard]] X decode(const X& latent) const {
    if (latent.rank() != 4)
      raise<ShapeError>("Rae::decode: expected latents (B, C, h, w), got ", latent.shape());
    const X tokens = grid_to_tokens(latent_norm.denormalize(latent));  // (B, h*w, C)
    return denormalize_pixels(decoder(tokens, latent.extent(2), latent.extent(3)), pixels_);
  }

  Encoder<X> encoder;
  Decoder<X> decoder;
  LatentNorm<T> latent_norm;

 private:
  index_t encoder_height_, encoder_width_;
  PixelNorm pixels_;
};

}  // namespace rae
