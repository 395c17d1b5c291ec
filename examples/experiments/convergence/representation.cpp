#include "convergence/representation.hpp"

#include <algorithm>
#include <ctime>
#include <utility>

#include "rae/diffusion/latent_statistics.hpp"
#include "rae/models/initialize.hpp"
#include "rae/train/decoder_trainer.hpp"
#include "rae/train/encoder_trainer.hpp"
#include "rae/train/vae_trainer.hpp"

namespace rae::experiments {
namespace {

constexpr index_t kHeadWidth = 32, kAtOnce = 128;  // pictures that are encoded together
const PixelNorm kPixels{{0.5, 0.5, 0.5}, {0.25, 0.25, 0.25}};

EncoderConfig encoder_config(const RepresentationPlan& plan) {
  const index_t grid = plan.size / plan.patch;
  return {.family = EncoderFamily::siglip2,
          .patch_size = plan.patch,
          .hidden_size = plan.width,
          .num_layers = plan.layers,
          .num_heads = std::max<index_t>(1, plan.width / kHeadWidth),
          .intermediate_size = 4 * plan.width,
          .registers = 0,
          .table_h = grid,
          .table_w = grid};
}

DecoderConfig decoder_config(const RepresentationPlan& plan, index_t in_dim) {
  const index_t grid = plan.size / plan.patch;
  return {.grid_h = grid,
          .grid_w = grid,
          .in_dim = in_dim,
          .hidden_size = plan.width,
          .num_layers = plan.layers,
          .num_heads = std::max<index_t>(1, plan.width / kHeadWidth),
          .intermediate_size = 4 * plan.width,
          .patch_size = plan.patch};
}

TrainingOptions training(const RepresentationPlan& plan, index_t steps, std::uint64_t seed) {
  return {.steps = steps,
          .batch_size = plan.batch,
          .lr = 1e-3,
          .final_lr = 1e-5,
          .warmup_steps = steps / 20,
          .weight_decay = 0.02,
          .ema_decay = 0.99,
          .seed = seed};
}

/// Calls f(images (B, 3, H, W), first picture) for all pictures in order.
template <class F>
void for_batches(const ImageDataset& data, F f) {
  const auto pixels = static_cast<std::size_t>(data.image_size());
  for (index_t begin = 0; begin < data.size(); begin += kAtOnce) {
    const index_t count = std::min(kAtOnce, data.size() - begin);
    Tensor<float> images(
        Shape{count, data.channels(), data.height(), data.width()});  // (B, 3, H, W)
    for (index_t i = 0; i < count; ++i)
      data.image(begin + i, images.span().subspan(static_cast<std::size_t>(i) * pixels, pixels));
    f(images, begin);
  }
}

/// Fills latents and labels; `decode` makes pictures of latents that are not normalised.
void encode_all(Representation& out, const ImageDataset& data,
                const Function<Tensor<float>(const Tensor<float>&)>& encode,
                Function<Tensor<float>(const Tensor<float>&)> decode) {
  LatentStatistics statistics;
  for_batches(data, [&](const Tensor<float>& images, index_t begin) {
    const Tensor<float> z = encode(images);  // (B, C, h, w)
    if (begin == 0)
      out.latents =
          Tensor<float>(Shape{data.size(), z.extent(1), z.extent(2), z.extent(3)});  // (N, C, h, w)
    copy_elements(z.data(), z.numel(), out.latents.data() + begin * (z.numel() / z.extent(0)));
    statistics.update(z);
  });
  const LatentNorm<float> norm{statistics.mean(), statistics.variance()};
  out.latents = norm.normalize(out.latents);
  out.decode = [norm, decode = std::move(decode)](const Tensor<float>& z) {
    return decode(norm.denormalize(z));
  };
  for (index_t i = 0; i < data.size(); ++i) out.labels.push_back(data.label(i));
}

/// A frozen encoder, pretrained or random, with a decoder trained on its tokens.
Rae<float> frozen_autoencoder(Encoder<Tensor<float>> encoder,
                              const OwnedPointer<const ImageDataset>& data,
                              const RepresentationPlan& plan, std::uint64_t seed) {
  auto network = encoder_network(std::move(encoder));
  auto decoder = train_decoder(data, *network, kPixels, decoder_config(plan, plan.width),
                               {.noise_tau = 0.4, .perceptual_weight = 0},
                               training(plan, plan.decoder_steps, seed), {.stage = "decoder"});
  return {network,
          OwnedPointer<const Decoder<Tensor<float>>>::make(std::move(decoder)),
          {.pixels = kPixels, .latent_norm = {}}};
}

Rae<float> autoencoder_of(const std::string& name, const OwnedPointer<const ImageDataset>& data,
                          const RepresentationPlan& plan, std::uint64_t seed) {
  const EncoderConfig config = encoder_config(plan);
  if (name == "vae")
    return vae_autoencoder<float>(
        train_vae(data, {config, plan.vae_dim}, decoder_config(plan, plan.vae_dim), kPixels,
                  {.kl_weight = plan.kl_weight},
                  training(plan, plan.encoder_steps + plan.decoder_steps, seed), {.stage = "vae"}),
        kPixels);
  if (name == "random encoder") {
    Encoder<Tensor<float>> encoder(config);
    initialize(encoder, seed + 1000);
    return frozen_autoencoder(std::move(encoder), data, plan, seed);
  }
  if (name != "encoder") raise<ArgumentError>("no representation is called '", name, "'");
  return frozen_autoencoder(
      train_encoder(data, config, kPixels, {.augmentation = {.shift = 4, .flip = true}},
                    training(plan, plan.encoder_steps, seed), {.stage = "encoder"}),
      data, plan, seed);
}

}  // namespace

std::vector<std::string> representation_names() {
  return {"encoder", "vae", "random encoder", "pixels"};
}

Representation make_representation(const std::string& name,
                                   const OwnedPointer<const ImageDataset>& data,
                                   const RepresentationPlan& plan, std::uint64_t seed) {
  Representation out;
  if (name == "pixels") {
    const index_t grid = plan.size / plan.patch, patch = plan.patch;
    encode_all(
        out, *data,
        [=](const Tensor<float>& images) {
          return tokens_to_grid(patchify(images, patch), grid, grid);  // (B, 3*P*P, h, w)
        },
        [=](const Tensor<float>& z) {
          Tensor<float> images(
              Shape{z.extent(0), data->channels(), plan.size, plan.size});  // (B, 3, H, W)
          const Tensor<float> tokens = grid_to_tokens(z);                   // (B, N, 3*P*P)
          unpatchify<float>(tokens, patch, PatchOrder::channels_first, images);
          return images;
        });
    return out;
  }
  const double begin = cpu_seconds();
  const Rae<float> autoencoder = autoencoder_of(name, data, plan, seed);
  out.cpu_seconds = cpu_seconds() - begin;
  encode_all(
      out, *data, [&](const Tensor<float>& images) { return autoencoder.encode(images); },
      [autoencoder](const Tensor<float>& z) { return autoencoder.decode(z); });
  return out;
}

double cpu_seconds() {
  return static_cast<double>(std::clock()) / static_cast<double>(CLOCKS_PER_SEC);
}

}  // namespace rae::experiments
