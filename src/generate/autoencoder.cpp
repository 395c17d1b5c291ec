#include "rae/generate/autoencoder.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "generate/batches.hpp"
#include "load/network_loader.hpp"
#include "rae/core/workspace.hpp"
#include "rae/load/model_search.hpp"

namespace rae {

struct Autoencoder::Impl {
  detail::NetworkLoader loader;
  const ModelConfig& config = loader.config();

  Impl(const ModelFiles& files, const LoadOptions& load)
      : loader(files, load, {NetworkRole::encoder, NetworkRole::decoder}) {}

  [[nodiscard]] index_t batch() const {
    const Shape latent = config.latent_shape();
    return detail::default_batch(latent[1] * latent[2]);
  }

  /// What the encoder sees of pictures (b, channels, H, W) in [0, 1].
  [[nodiscard]] Tensor<float> encoder_input(Tensor<float> images) const {
    const Shape input = config.encoder_input_shape();
    if (images.extent(2) != input[1] || images.extent(3) != input[2])
      images = resize(images, Resize::bicubic, input[1], input[2]);
    return normalize_pixels(std::move(images), config.pixels);
  }

  /// f(begin, images (b, channels, H, W)) -> latents, for batches of the pictures that make(begin,
  /// count) gives.
  template <class Make>
  Tensor<float> encode(index_t n, Make make) const {
    const Shape latent = config.latent_shape();
    Tensor<float> out(Shape{n, latent[0], latent[1], latent[2]});  // (B, C, h, w)
    float* target = out.data();
    const auto encoder = loader.encoder();
    Workspace workspace;
    const WorkspaceScope scope(workspace);
    detail::for_batches(n, batch(), [&](index_t begin, index_t count) {
      const Tensor<float> tokens = (*encoder)(encoder_input(make(begin, count)));  // (b, h*w, C)
      const Tensor<float> z = loader.latent_norm().normalize(
          tokens_to_grid(tokens, latent[1], latent[2]));  // (b, C, h, w)
      std::copy_n(z.data(), z.numel(), target + begin * latent.numel());
    });
    return out;
  }

  /// f(begin, pixels (b, channels, H, W)) for batches of latents (B, C, h, w).
  template <class F>
  void decode(std::string_view where, const Tensor<float>& latents, F f) const {
    detail::require_batch(where, latents, config.latent_shape());
    const auto decoder = loader.decoder();
    Workspace workspace;
    const WorkspaceScope scope(workspace);
    detail::for_batches(latents.extent(0), batch(), [&](index_t begin, index_t count) {
      const Tensor<float> z =
          loader.latent_norm().denormalize(detail::samples(latents, begin, count));  // (b, C, h, w)
      f(begin, denormalize_pixels((*decoder)(grid_to_tokens(z)), config.pixels));
    });
  }
};

Autoencoder::Autoencoder(const Bundle& bundle, const LoadOptions& load) {
  bundle.check();
  for (const char* network : {"encoder", "decoder"})
    if (!bundle.has(std::string(network) + "."))
      raise<FormatError>(bundle.origin, ": has no ", network, ", which an autoencoder needs");
  impl_ = std::make_shared<const Impl>(bundle.files(), load);
}

Autoencoder::Autoencoder(const ModelFiles& files, const LoadOptions& load) {
  validate(files.config, ConfigPlace(files.origin));
  if (!files.encoder && !files.decoder)
    raise<FormatError>(files.origin, ": has neither an encoder nor a decoder");
  impl_ = std::make_shared<const Impl>(files, load);
}

Autoencoder Autoencoder::load(const std::string& path, const LoadOptions& load) {
  return Autoencoder(ModelFiles::open(path), load);
}

Autoencoder Autoencoder::builtin(const LoadOptions& options) { return load(find_model(), options); }

Image Autoencoder::prepare(const Image& image) const {
  if (image.empty()) raise<ArgumentError>("Autoencoder: the picture has no pixels");
  const Image colours = config().encoder.channels == 1 ? image.to_gray() : image.to_rgb();
  const Shape picture = config().image_shape();
  return colours.center_crop(picture[2], picture[1]);
}

Tensor<float> Autoencoder::encode(const Image& image) const {
  return encode(std::span<const Image>(&image, 1));
}

Tensor<float> Autoencoder::encode(std::span<const Image> images) const {
  if (images.empty()) raise<ArgumentError>("Autoencoder::encode: no pictures");
  const Shape picture = impl_->config.image_shape();
  return impl_->encode(static_cast<index_t>(images.size()), [&](index_t begin, index_t count) {
    Tensor<float> batch(Shape{count, picture[0], picture[1], picture[2]});  // (b, channels, H, W)
    float* target = batch.data();
    for (index_t i = 0; i < count; ++i) {
      const Tensor<float> one =
          prepare(images[static_cast<std::size_t>(begin + i)]).to_tensor();  // (1, channels, H, W)
      std::copy_n(one.data(), one.numel(), target + i * one.numel());
    }
    return batch;
  });
}

Tensor<float> Autoencoder::encode(const Tensor<float>& images) const {
  detail::require_batch("Autoencoder::encode", images, impl_->config.image_shape());
  return impl_->encode(images.extent(0), [&](index_t begin, index_t count) {
    return detail::samples(images, begin, count);
  });
}

std::vector<Image> Autoencoder::decode(const Tensor<float>& latents) const {
  std::vector<Image> out;
  impl_->decode("Autoencoder::decode", latents, [&](index_t, const Tensor<float>& pixels) {
    for (Image& image : Image::from_batch(pixels)) out.push_back(std::move(image));
  });
  return out;
}

Tensor<float> Autoencoder::decode_pixels(const Tensor<float>& latents) const {
  const Shape picture = impl_->config.image_shape();
  Tensor<float> out;  // (B, channels, H, W)
  impl_->decode(
      "Autoencoder::decode_pixels", latents, [&](index_t begin, const Tensor<float>& pixels) {
        if (out.empty())
          out = Tensor<float>(Shape{latents.extent(0), picture[0], picture[1], picture[2]});
        std::copy_n(pixels.data(), pixels.numel(), out.data() + begin * picture.numel());
      });
  return out;
}

Image Autoencoder::reconstruct(const Image& image) const { return decode(encode(image)).front(); }

const ModelConfig& Autoencoder::config() const noexcept { return impl_->config; }

}  // namespace rae
