// RAE: frozen encoder, latent normalisation, trained decoder. Diffusion Transformers with
// Representation Autoencoders, section 3; official class RAE.
#pragma once

#include <utility>

#include "rae/core/owner.hpp"
#include "rae/models/decoder.hpp"
#include "rae/models/encoder_network.hpp"
#include "rae/models/latent_norm.hpp"
#include "rae/models/pixel_norm.hpp"

namespace rae {

/// The input (B, channels, height, width) of an encoder for pictures (B, channels, H, W) in [0, 1]:
/// they are resized, unless height and width are 0, and normalised. Throws ShapeError.
template <Real T>
Tensor<T> encoder_input(const Tensor<T>& image, index_t height, index_t width,
                        const PixelNorm& pixels) {
  const Shape s = image.shape();
  if (s.rank() != 4 || s[1] > 3)
    raise<ShapeError>("Rae::encode: expected pictures (B, channels, H, W), got ", s);
  const bool fits = height == 0 || (s[2] == height && s[3] == width);
  return normalize_pixels(fits ? image : resize(image, Resize::bicubic, height, width), pixels);
}

/// The same for a square of side `size`.
template <Real T>
Tensor<T> encoder_input(const Tensor<T>& image, index_t size, const PixelNorm& pixels) {
  return encoder_input(image, size, size, pixels);
}

/// The settings of an autoencoder, other than its two networks.
template <Real T>
struct RaeSettings {
  index_t encoder_height = 0;  ///< pictures are resized to it for the encoder; 0: not resized
  index_t encoder_width = 0;   ///< the same; 0 exactly when encoder_height is 0
  PixelNorm pixels{};          ///< normalisation of the encoder's input
  LatentNorm<T> latent_norm;   ///< statistics of the latents; empty for raw tokens
  PixelRange output = PixelRange::normalized;  ///< of the decoder's pictures
};

/// The autoencoder for inference: pictures (B, channels, H, W) in [0, 1] to latents (B, C, h, w)
/// and back. A value: copies share the networks, of which either may be absent while it is not
/// used. All members can be called from several threads.
template <Real T>
class Rae {
 public:
  using X = Tensor<T>;

  /// Either network may be null.
  Rae(OwnedPointer<const EncoderNetwork<X>> encoder, OwnedPointer<const Decoder<X>> decoder,
      RaeSettings<T> settings)
      : encoder_(std::move(encoder)),
        decoder_(std::move(decoder)),
        settings_(std::move(settings)) {}

  /// Tokens (B, N, D) of pictures (B, channels, H, W) in [0, 1], before latent normalisation.
  /// Throws ShapeError, ArgumentError without an encoder.
  [[nodiscard]] X encode_tokens(const X& image) const { return encoder()(input(image)); }

  /// Normalised latents (B, C, h, w) of pictures (B, channels, H, W) in [0, 1], on the encoder's
  /// grid. Throws ShapeError, also when the statistics have another grid; NumericError for a latent
  /// that is not finite; ArgumentError without an encoder.
  [[nodiscard]] X encode(const X& image) const {
    X out = settings_.latent_norm.normalize(grid(image));  // (B, C, h, w)
    require_finite("Rae::encode: the latent", out);
    return out;
  }

  /// The same before the normalisation by the statistics. Throws as `encode`.
  [[nodiscard]] X encode_unnormalized(const X& image) const {
    X out = grid(image);  // (B, C, h, w)
    require_finite("Rae::encode: the latent", out);
    return out;
  }

  /// Shape (C, h, w) of the latents of pictures (channels, H, W). Throws as `encode`.
  [[nodiscard]] Shape latent_shape(const Shape& image) const {
    const Shape grid = encoder().grid_of(encoder_shape(image));  // (h, w)
    return {encoder().shape().width, grid[0], grid[1]};
  }

  /// Pictures (B, channels, H, W), of the decoder's size, for normalised latents (B, C, h, w) of
  /// any grid. They are not clamped to [0, 1]. Throws ShapeError, also when the statistics have
  /// another grid; NumericError for a picture that is not finite; ArgumentError without a decoder.
  [[nodiscard]] X decode(const X& latent) const {
    if (latent.rank() != 4)
      raise<ShapeError>("Rae::decode: expected latents (B, C, h, w), got ", latent.shape());
    const X tokens = grid_to_tokens(settings_.latent_norm.denormalize(latent));  // (B, h*w, C)
    X out = decoder()(tokens, latent.extent(2), latent.extent(3));  // (B, channels, H, W)
    if (settings_.output == PixelRange::normalized)
      out = denormalize_pixels(std::move(out), settings_.pixels);  // (B, channels, H, W)
    require_finite("Rae::decode: the picture", out);
    return out;
  }

  /// The encoder. Throws ArgumentError when there is none.
  [[nodiscard]] const EncoderNetwork<X>& encoder() const {
    if (!encoder_) raise<ArgumentError>("Rae: this autoencoder has no encoder");
    return *encoder_;
  }
  /// The decoder. Throws ArgumentError when there is none.
  [[nodiscard]] const Decoder<X>& decoder() const {
    if (!decoder_) raise<ArgumentError>("Rae: this autoencoder has no decoder");
    return *decoder_;
  }
  /// The settings given to the constructor.
  [[nodiscard]] const RaeSettings<T>& settings() const noexcept { return settings_; }

 private:
  /// Tokens as latents (B, C, h, w).
  [[nodiscard]] X grid(const X& image) const {
    const X seen = input(image);                         // (B, channels, H', W')
    const Shape grid = encoder().grid_of(seen.shape());  // (h, w)
    return tokens_to_grid(encoder()(seen), grid[0], grid[1]);
  }

  /// (1, channels, H', W').
  [[nodiscard]] Shape encoder_shape(const Shape& image) const {
    if (settings_.encoder_height == 0) return {1, image[0], image[1], image[2]};
    return {1, image[0], settings_.encoder_height, settings_.encoder_width};
  }

  [[nodiscard]] X input(const X& image) const {
    return encoder_input(image, settings_.encoder_height, settings_.encoder_width,
                         settings_.pixels);
  }

  static void require_finite(const char* what, const X& batch) {
    const index_t size = batch.numel() / batch.extent(0);
    for (index_t b = 0; b < batch.extent(0); ++b)
      if (!all_finite(batch.span().subspan(static_cast<std::size_t>(b * size),
                                           static_cast<std::size_t>(size))))
        raise<NumericError>(what, " of sample ", b, " of ", batch.extent(0),
                            " contains NaN or infinity");
  }

  OwnedPointer<const EncoderNetwork<X>> encoder_;
  OwnedPointer<const Decoder<X>> decoder_;
  RaeSettings<T> settings_;
};

}  // namespace rae
