#include "frame/encoders.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "rae/formats/model_files.hpp"
#include "rae/generate/autoencoder.hpp"
#include "rae/models/initialize.hpp"

namespace rae::experiments {
namespace {

/// The random ViT and the statistics of its tokens.
struct RandomVit {
  explicit RandomVit(index_t width)
      : network({.family = EncoderFamily::siglip2,
                 .patch_size = kRandomSize / kRandomGrid,
                 .hidden_size = width,
                 .num_layers = 2,
                 .num_heads = width / 16,
                 .intermediate_size = 4 * width,
                 .registers = 0,
                 .table_h = kRandomGrid,
                 .table_w = kRandomGrid}) {
    initialize(network, 1);
  }

  Tensor<float> latents(const Tensor<float>& pictures) const {
    Tensor<float> scaled = pictures;  // (N, 3, H, W), in [-1, 1]
    for (float& value : scaled.span()) value = 2 * value - 1;
    Tensor<float> out = tokens_to_grid(network(scaled), kRandomGrid, kRandomGrid);  // (N, C, h, w)
    if (mean.empty()) return out;
    const std::size_t size = mean.size();
    std::span<float> values = out.span();
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] =
          static_cast<float>((static_cast<double>(values[i]) - mean[i % size]) * scale[i % size]);
    return out;
  }

  Encoder<Tensor<float>> network;
  std::vector<double> mean{}, scale{};  // (C*h*w); empty until they are known
};

}  // namespace

Encode random_encoder(index_t width, const Tensor<float>& pictures) {
  const auto vit = std::make_shared<RandomVit>(width);
  const Encode encode = [vit](const Tensor<float>& x) { return vit->latents(x); };
  const Tensor<float> all = encode_all(encode, pictures);  // (N, C, h, w)
  const auto count = static_cast<std::size_t>(all.extent(0));
  const std::size_t size = all.span().size() / count;
  std::vector<double> mean(size, 0.0), scale(size, 0.0);
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t n = 0; n < count; ++n)
      mean[i] += static_cast<double>(all.span()[n * size + i]) / static_cast<double>(count);
    double variance = 0;
    for (std::size_t n = 0; n < count; ++n) {
      const double difference = static_cast<double>(all.span()[n * size + i]) - mean[i];
      variance += difference * difference / static_cast<double>(count);
    }
    scale[i] = 1 / std::sqrt(variance + 1e-5);
  }
  vit->mean = std::move(mean);
  vit->scale = std::move(scale);
  return encode;
}

Encode encoder_of_model(const std::string& path) {
  return [model = Autoencoder::load(path)](const Tensor<float>& pictures) {
    return model.encode(pictures);
  };
}

index_t model_picture_size(const std::string& path) {
  return ModelFiles::open(path).config.image_size;
}

Tensor<float> encode_all(const Encode& encode, const Tensor<float>& pictures) {
  constexpr index_t kBatch = 128;
  const index_t count = pictures.extent(0), size = pictures.numel() / count;
  Tensor<float> out;  // (N, C, h, w)
  for (index_t begin = 0; begin < count; begin += kBatch) {
    const index_t n = std::min(kBatch, count - begin);
    Tensor<float> batch(
        Shape{n, pictures.extent(1), pictures.extent(2), pictures.extent(3)});  // (n, C, H, W)
    copy_elements(pictures.data() + begin * size, n * size, batch.data());
    const Tensor<float> latents = encode(batch);  // (n, C, h, w)
    if (begin == 0)
      out = Tensor<float>(Shape{count, latents.extent(1), latents.extent(2), latents.extent(3)});
    copy_elements(latents.data(), latents.numel(), out.data() + begin * (latents.numel() / n));
  }
  return out;
}

}  // namespace rae::experiments
