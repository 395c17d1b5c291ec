// RAE: frozen encoder, latent normalisation, trained decoder. Diffusion Transformers with
// Representation Autoencoders, section 3; official class RAE.
#pragma once

#include "rae/models/decoder.hpp"
#include "rae/models/encoder.hpp"
#include "rae/models/latent_norm.hpp"
#include "rae/models/pixel_norm.hpp"

namespace rae {

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
