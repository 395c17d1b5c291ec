#include "rae/pipeline/autoencoder.hpp"

#include <utility>

#include "pipeline/batches.hpp"
#include "rae/pipeline/model_search.hpp"

namespace rae {

struct Autoencoder::Parts {
  ModelConfig config;
  Rae<float> rae;

  explicit Parts(const Bundle& bundle) : config(bundle.config), rae(config.encoder, *config.decoder, config.encoder_size, config.pixels) {
    bundle.restore("encoder.", rae.encoder);
    bundle.restore("decoder.", rae.decoder);
    rae.latent_norm = bundle.latent_norm();
    pack_parameters(rae.encoder);
    pack_parameters(rae.decoder);
  }

  [[nodiscard]] Shape picture() const { return {config.encoder.channels, config.image_size, config.image_size}; }
  [[nodiscard]] index_t batch() const {
    const Shape latent = config.latent_shape();
    return detail::default_batch(latent[1] * latent[2]);
  }

  /// f(begin, images (b, channels, S, S)) -> latents, for batches of the pictures that make(begin, count) gives.
  template <class Make>
  Tensor<float> encode(index_t n, Make make) const {
    const Shape latent = config.latent_shape();
    Tensor<float> out(Shape{n, latent[0], latent[1], latent[2]});  // (B, C, h, w)
    float* target = out.data();
    Workspace workspace;
    const WorkspaceScope scope(workspace);
    detail::for_batches(n, batch(), [&](index_t begin, index_t count) {
      const Tensor<float> z = rae.encode(make(begin, count));  // (b, C, h, w)
      std::copy_n(z.data(), z.numel(), target + begin * latent.numel());
    });
    return out;
  }

  /// f(begin, pixels (b, channels, S, S)) for batches of latents (B, C, h, w).
  template <class F>
  void decode(std::string_view where, const Tensor<float>& latents, F f) const {
    detail::require_batch(where, latents, config.latent_shape());
    Workspace workspace;
    const WorkspaceScope scope(workspace);
    detail::for_batches(latents.extent(0), batch(),
                        [&](index_t begin, index_t count) { f(begin, rae.decode(detail::samples(latents, begin, count))); });
  }
};

Autoencoder::Autoencoder(const Bundle& bundle) {
  bundle.check();
  for (const char* part : {"encoder", "decoder"})
    if (!bundle.has(std::string(part) + ".")) raise<FormatError>(bundle.origin, ": has no ", part, ", which an autoencoder needs");
  parts_ = std::make_shared<const Parts>(bundle);
}

Autoencoder Autoencoder::load(const std::string& path) { return Autoencoder(Bundle::load(path)); }

Autoencoder Autoencoder::builtin() { return load(find_model()); }

Image Autoencoder::prepare(const Image& image) const {
  if (image.empty()) raise<ArgumentError>("Autoencoder: the picture has no pixels");
  const Image colours = config().encoder.channels == 1 ? image.to_gray() : image.to_rgb();
  return colours.center_crop(config().image_size);
}

Tensor<float> Autoencoder::encode(const Image& image) const { return encode(std::span<const Image>(&image, 1)); }

Tensor<float> Autoencoder::encode(std::span<const Image> images) const {
  if (images.empty()) raise<ArgumentError>("Autoencoder::encode: no pictures");
  const Shape picture = parts_->picture();
  return parts_->encode(static_cast<index_t>(images.size()), [&](index_t begin, index_t count) {
    Tensor<float> batch(Shape{count, picture[0], picture[1], picture[2]});  // (b, channels, S, S)
    float* target = batch.data();
    for (index_t i = 0; i < count; ++i) {
      const Tensor<float> one = prepare(images[static_cast<std::size_t>(begin + i)]).to_tensor();  // (1, channels, S, S)
      std::copy_n(one.data(), one.numel(), target + i * one.numel());
    }
    return batch;
  });
}

Tensor<float> Autoencoder::encode(const Tensor<float>& images) const {
  detail::require_batch("Autoencoder::encode", images, parts_->picture());
  return parts_->encode(images.extent(0), [&](index_t begin, index_t count) { return detail::samples(images, begin, count); });
}

std::vector<Image> Autoencoder::decode(const Tensor<float>& latents) const {
  std::vector<Image> out;
  parts_->decode("Autoencoder::decode", latents, [&](index_t, const Tensor<float>& pixels) {
    for (Image& image : Image::from_batch(pixels)) out.push_back(std::move(image));
  });
  return out;
}

Tensor<float> Autoencoder::decode_pixels(const Tensor<float>& latents) const {
  const Shape picture = parts_->picture();
  Tensor<float> out;  // (B, channels, S, S)
  parts_->decode("Autoencoder::decode_pixels", latents, [&](index_t begin, const Tensor<float>& pixels) {
    if (out.empty()) out = Tensor<float>(Shape{latents.extent(0), picture[0], picture[1], picture[2]});
    std::copy_n(pixels.data(), pixels.numel(), out.data() + begin * picture.numel());
  });
  return out;
}

Image Autoencoder::reconstruct(const Image& image) const { return decode(encode(image)).front(); }

const ModelConfig& Autoencoder::config() const noexcept { return parts_->config; }

}  // namespace rae
