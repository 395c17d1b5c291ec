#include "rae/generate/autoencoder.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "generate/decode.hpp"
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

  /// Latents (n, C, h, w) of n pictures; make(begin, count) returns batches (b, channels, H, W) of
  /// them.
  template <class Make>
  Tensor<float> encode(index_t n, Make make) const {
    const Shape latent = config.latent_shape();
    Tensor<float> out(Shape{n, latent[0], latent[1], latent[2]});  // (B, C, h, w)
    float* target = out.data();
    const Rae<float> autoencoder = loader.autoencoder(NetworkRole::encoder);
    Workspace workspace;
    const WorkspaceScope scope(workspace);
    detail::for_batches(n, batch(), [&](index_t begin, index_t count) {
      const Tensor<float> z = autoencoder.encode(make(begin, count));  // (b, C, h, w)
      std::copy_n(z.data(), z.numel(), target + begin * latent.numel());
    });
    return out;
  }
};

Autoencoder::Autoencoder(const Bundle& bundle, const LoadOptions& load) {
  bundle.check();
  for (const NetworkRole role : {NetworkRole::encoder, NetworkRole::decoder})
    if (!bundle.has(role))
      raise<FormatError>(bundle.origin, ": has no ", name_of(role), ", which an autoencoder needs");
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

Autoencoder Autoencoder::builtin(const LoadOptions& options) {
  return builtin(kBuiltinModel, options);
}

Autoencoder Autoencoder::builtin(const std::string& name, const LoadOptions& options) {
  return load(find_model(name), options);
}

Image Autoencoder::prepare(const Image& image) const {
  if (image.empty()) raise<ArgumentError>("Autoencoder: the picture has no pixels");
  const Image colours = config().encoder.channels() == 1 ? image.to_gray() : image.to_rgb();
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
  constexpr std::string_view kWhere = "Autoencoder::decode";
  const Shape latent = config().latent_shape();
  detail::require_batch(kWhere, latents, latent);  // before the decoder is loaded
  return detail::decode_images(impl_->loader.autoencoder(NetworkRole::decoder), kWhere, latents,
                               latent, impl_->batch());
}

Tensor<float> Autoencoder::decode_pixels(const Tensor<float>& latents) const {
  constexpr std::string_view kWhere = "Autoencoder::decode_pixels";
  const Shape latent = config().latent_shape();
  detail::require_batch(kWhere, latents, latent);
  return detail::decode_pixels(impl_->loader.autoencoder(NetworkRole::decoder), kWhere, latents,
                               latent, config().image_shape(), impl_->batch());
}

Image Autoencoder::reconstruct(const Image& image) const { return decode(encode(image)).front(); }

const ModelConfig& Autoencoder::config() const noexcept { return impl_->config; }

}  // namespace rae
