#include "frame/representation.hpp"

#include <utility>

#include "frame/pictures.hpp"
#include "rae/diffusion/latent_statistics.hpp"

namespace rae::experiments {

Encode encode_of(const Rae<float>& encoder) {
  return [encoder](const Tensor<float>& images) { return encoder.encode_unnormalized(images); };
}

Tensor<float> encode_all(const ImageDataset& data, const Encode& encode) {
  Tensor<float> out;  // (N, C, h, w)
  for_batches(data, [&](const Tensor<float>& images, index_t first) {
    const Tensor<float> z = encode(images);  // (B, C, h, w)
    if (first == 0) out = Tensor<float>(z.shape().with(0, data.size()));
    copy_elements(z.data(), z.numel(), out.data() + first * (z.numel() / z.extent(0)));
  });
  return out;
}

Representation represent(const ImageDataset& data, const Encode& encode) {
  Representation out;
  LatentStatistics statistics;
  out.latents = encode_all(data, [&](const Tensor<float>& images) {
    Tensor<float> z = encode(images);  // (B, C, h, w)
    statistics.update(z);
    return z;
  });
  out.norm = {statistics.mean(), statistics.variance()};
  out.latents = out.norm.normalize(out.latents);
  for (index_t i = 0; i < data.size(); ++i) out.labels.push_back(data.label(i));
  return out;
}

Rae<float> train_autoencoder(const Rae<float>& encoder,
                             const OwnedPointer<const ImageDataset>& data, const NetworkPlan& plan,
                             index_t steps, std::uint64_t seed, DecoderLossOptions loss,
                             const LatentNorm<float>& norm, TrainingContext context) {
  RaeSettings<float> settings = encoder.settings();
  settings.latent_norm = norm;
  loss.encoder_size = settings.encoder_height;
  loss.encoder_width = settings.encoder_width;
  const Shape latent = encoder.latent_shape({data->channels(), data->height(), data->width()});
  Decoder<Tensor<float>> decoder =
      train_decoder(data, encoder.encoder(), settings.pixels, decoder_config(plan, latent), loss,
                    network_training(plan, steps, seed), std::move(context));
  return {encoder.encoder().clone(),
          OwnedPointer<const Decoder<Tensor<float>>>::make(std::move(decoder)),
          std::move(settings)};
}

}  // namespace rae::experiments
