// Autoencoder: pictures to normalised latents and back, from one file. Diffusion Transformers with
// Representation Autoencoders, section 3.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "rae/core/owner.hpp"
#include "rae/formats/bundle.hpp"
#include "rae/io/image.hpp"
#include "rae/load/load_options.hpp"

namespace rae {

/// A frozen encoder and its decoder. A value: copies are cheap and share the weights; all members
/// can be called from several threads.
class Autoencoder {
 public:
  /// Takes the weights of a bundle. Throws as `Bundle::check`, FormatError when it has no encoder
  /// or no decoder, MemoryError.
  explicit Autoencoder(const Bundle& bundle, const LoadOptions& load = {});

  /// Loads a model from its files: all networks at once, or each when it is needed (see
  /// LoadOptions). The encoder may be absent if nothing is encoded, and the decoder if nothing is
  /// decoded. Throws as the constructor of `Generator` from files, FormatError when both are
  /// absent.
  explicit Autoencoder(const ModelFiles& files, const LoadOptions& load = {});

  /// Opens a bundle. Throws as `ModelFiles::open` and the constructor.
  [[nodiscard]] static Autoencoder load(const std::string& path, const LoadOptions& load = {});

  /// Loads the default of the built-in models, `kBuiltinModel`. Throws FileError when it is not
  /// found.
  [[nodiscard]] static Autoencoder builtin(const LoadOptions& options = {});
  /// Loads the built-in model of this name, for example "fashion-mnist"; `named_models` lists them
  /// all. Throws FileError, which lists them too, when it is not found.
  [[nodiscard]] static Autoencoder builtin(const std::string& name,
                                           const LoadOptions& options = {});

  /// The picture as the model takes it: the central part (ADM's centre crop) at the model's size,
  /// gray or RGB. Throws ArgumentError for an empty picture.
  [[nodiscard]] Image prepare(const Image& image) const;

  /// Normalised latent (1, C, h, w) of a picture of any size, which is prepared first (see
  /// `prepare`). Throws as the other overloads.
  [[nodiscard]] Tensor<float> encode(const Image& image) const;

  /// Normalised latents (B, C, h, w) of pictures of any sizes. Throws ArgumentError without
  /// pictures and for empty ones, NumericError for latents with NaN or infinity, FormatError when
  /// the model has no encoder.
  [[nodiscard]] Tensor<float> encode(std::span<const Image> images) const;

  /// Normalised latents (B, C, h, w) of pictures (B, channels, H, W) in [0, 1] of the model's size.
  /// Throws ShapeError, NumericError for pictures or latents with NaN or infinity, FormatError when
  /// the model has no encoder.
  [[nodiscard]] Tensor<float> encode(const Tensor<float>& images) const;

  /// Pictures of normalised latents (B, C, h, w). Throws ShapeError for other shapes, NumericError
  /// for NaN or infinity, FormatError when the model has no decoder.
  [[nodiscard]] std::vector<Image> decode(const Tensor<float>& latents) const;

  /// The same as a tensor (B, channels, H, W), neither clamped to [0, 1] nor rounded.
  [[nodiscard]] Tensor<float> decode_pixels(const Tensor<float>& latents) const;

  /// The picture after encoding and decoding, to be compared with `prepare(image)`. Throws as
  /// `encode` and `decode`.
  [[nodiscard]] Image reconstruct(const Image& image) const;

  /// Everything about the model except its weights.
  [[nodiscard]] const ModelConfig& config() const noexcept;

 private:
  struct Impl;
  OwnedPointer<const Impl> impl_;
};

}  // namespace rae
