#include "rae/train/vae_trainer.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "rae/core/parallel.hpp"
#include "rae/diffusion/latent_statistics.hpp"
#include "rae/ops/loss.hpp"
#include "rae/train/decoder_loss.hpp"
#include "rae/train/flow_trainer.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/toy_dataset.hpp"

namespace rae::test {
namespace {

const PixelNorm kPixels{{0.15, 0, 0}, {0.3, 1, 1}};

/// For gray pictures of 8 x 8 with 2 x 2 tokens of 4 elements.
VaeEncoderConfig tiny_encoder() {
  return {.vit = {.family = EncoderFamily::siglip2,
                  .patch_size = 4,
                  .channels = 1,
                  .hidden_size = 16,
                  .num_layers = 1,
                  .num_heads = 2,
                  .intermediate_size = 32,
                  .table_h = 2,
                  .table_w = 2},
          .latent_dim = 4};
}

DecoderConfig tiny_decoder() {
  return {.grid_h = 2,
          .grid_w = 2,
          .in_dim = 4,
          .hidden_size = 16,
          .num_layers = 1,
          .num_heads = 2,
          .intermediate_size = 32,
          .patch_size = 4,
          .channels = 1};
}

TrainingOptions short_training(index_t steps) {
  TrainingOptions options;
  options.steps = steps;
  options.batch_size = 16;
  options.lr = 5e-3;
  options.ema_decay = 0.9;
  options.log_every = 10;
  return options;
}

std::vector<float> weights_of(Vae<Tensor<float>>& model) {
  std::vector<float> weights;
  model.parameters([&](const std::string&, Parameter<Tensor<float>>& p) {
    weights.insert(weights.end(), p.tensor().span().begin(), p.tensor().span().end());
  });
  return weights;
}

/// Mean absolute error of the reconstructions of a data set's first pictures.
double reconstruction_error(const Rae<float>& autoencoder, const Tensor<float>& images) {
  const Tensor<float> recon = autoencoder.decode(autoencoder.encode(images));  // (B, C, H, W)
  double sum = 0;
  for (index_t i = 0; i < images.numel(); ++i)
    sum += std::abs(static_cast<double>(recon[i]) - static_cast<double>(images[i]));
  return sum / static_cast<double>(images.numel());
}

TEST(VaeLoss, IsReconstructionAndDivergence) {
  Vae<Var<float>> model(tiny_encoder(), tiny_decoder());
  initialize(model, 1);
  Batches batches(std::make_shared<ToyDataset>(24, 8, 3), 2, 1);
  const Tensor<float> images = batches(0).images;              // (B, C, H, W)
  const Tensor<float> noise = latent_noise({2, 4, 4}, 3, 10);  // (B, N, C)
  const auto value = [&](const VaeLossOptions& options) {
    return static_cast<double>(vae_loss(model, kPixels, images, noise, options).value()[0]);
  };
  const Var<float> moments =
      model.encoder.moments(Var<float>(normalize_pixels(images, kPixels)));  // (B, N, 2C)
  const Tensor<float> recon = denormalize_pixels(
      model.decoder(gaussian_sample(moments, noise)).value(), kPixels);  // (B, C, H, W)
  const double distance = static_cast<double>(l1_loss(Var<float>(recon), images).value()[0]),
               divergence = static_cast<double>(kl_loss(moments).value()[0]);
  EXPECT_NEAR(value({.kl_weight = 0}), distance, 1e-6);
  EXPECT_NEAR(value({.kl_weight = 0.5}), distance + 0.5 * divergence, 1e-5);
  VaeLossOptions squared{.kl_weight = 0};
  squared.reconstruction = [](const Var<float>& r, const Tensor<float>& i, index_t) {
    return mse_loss(r, i);
  };
  EXPECT_NEAR(value(squared), static_cast<double>(mse_loss(Var<float>(recon), images).value()[0]),
              1e-6);
}

TEST(VaeLoss, NoiseDependsOnTheSampleOnly) {
  const Tensor<float> all = latent_noise({6, 4, 3}, 7, 20),
                      part = latent_noise({2, 4, 3}, 7, 23);  // (6, 4, 3), (2, 4, 3)
  for (index_t i = 0; i < part.numel(); ++i) EXPECT_EQ(part[i], all[3 * 12 + i]);
}

TEST(TrainVae, LearnsAndDoesNotDependOnThreads) {
  const auto data = std::make_shared<ToyDataset>(24, 8, 3);
  Batches batches(data, 24, 1);
  const Tensor<float> images = batches(0).images;  // (B, C, H, W)
  std::vector<float> first;
  for (const int threads : {1, 3}) {
    set_num_threads(threads);
    TrainingContext context;
    std::vector<double> losses;
    context.on_progress = [&](const TrainingProgress& p) { return losses.push_back(p.loss), true; };
    index_t averages = 0;
    Vae<Tensor<float>> vae =
        train_vae(data, tiny_encoder(), tiny_decoder(), kPixels, {.kl_weight = 1e-3},
                  short_training(150), context, [&](index_t, Vae<Tensor<float>>&) { ++averages; });
    EXPECT_EQ(averages, 1);
    EXPECT_LT(losses.back(), 0.5 * losses.front());
    EXPECT_LT(reconstruction_error(vae_autoencoder(vae, kPixels), images), 0.06);
    if (first.empty())
      first = weights_of(vae);
    else
      EXPECT_EQ(first, weights_of(vae));
  }
  set_num_threads(0);
}

// With a large weight the divergence wins: every latent is standard normal noise.
TEST(TrainVae, LargeWeightOfTheDivergenceRemovesAllInformation) {
  const auto data = std::make_shared<ToyDataset>(24, 8, 3);
  const Vae<Tensor<float>> vae = train_vae(data, tiny_encoder(), tiny_decoder(), kPixels,
                                           {.kl_weight = 10}, short_training(150), {});
  Batches batches(data, 24, 1);
  const Tensor<float> moments =
      vae.encoder.moments(normalize_pixels(batches(0).images, kPixels));  // (B, N, 2C)
  EXPECT_LT(gaussian_kl<float>(moments), 0.01f);
}

TEST(TrainVae, ContinuesBitForBit) {
  const auto data = std::make_shared<ToyDataset>(24, 8, 3);
  const auto train = [&](const TrainingContext& context) {
    return train_vae(data, tiny_encoder(), tiny_decoder(), kPixels, {}, short_training(20),
                     context);
  };
  Vae<Tensor<float>> whole = train({});
  const TempFolder folder;
  TrainingContext context;
  context.folder = folder.path();
  context.on_progress = [](const TrainingProgress& p) { return p.step < 10; };
  EXPECT_THROW((void)train(context), Cancelled);
  context.on_progress = {};
  Vae<Tensor<float>> continued = train(context);
  EXPECT_EQ(weights_of(whole), weights_of(continued));
}

// Stage 2 trains on the latents of a VAE as on those of a frozen encoder.
TEST(TrainVae, LatentsServeStageTwo) {
  const auto data = std::make_shared<ToyDataset>(24, 8, 3);
  const Vae<Tensor<float>> vae =
      train_vae(data, tiny_encoder(), tiny_decoder(), kPixels, {}, short_training(40), {});
  Batches batches(data, 24, 1);
  const Tensor<float> images = batches(0).images;  // (B, C, H, W)
  LatentStatistics statistics;
  statistics.update(vae_autoencoder(vae, kPixels).encode(images));
  const Rae<float> autoencoder =
      vae_autoencoder(vae, kPixels, {statistics.mean(), statistics.variance()});
  const Tensor<float> latents = autoencoder.encode(images);  // (B, C, h, w)
  EXPECT_TRUE((latents.shape() == Shape{24, 4, 2, 2}));
  LatentStatistics normalized;
  normalized.update(latents);
  EXPECT_TRUE(close(normalized.mean(), Tensor<float>(Shape{4, 2, 2}, 0.0f), 1e-4));

  DitDhConfig network;
  network.grid_h = network.grid_w = 2;
  network.in_channels = 4;
  network.hidden_size[0] = 8;
  network.hidden_size[1] = 12;
  network.depth[0] = network.depth[1] = 1;
  network.num_heads[0] = 2;
  network.num_heads[1] = 3;
  network.num_classes = 3;
  TrainingContext context;
  std::vector<double> losses;
  context.on_progress = [&](const TrainingProgress& p) { return losses.push_back(p.loss), true; };
  (void)train_flow(data, autoencoder, Backbone(network), {}, short_training(60), context);
  EXPECT_LT(losses.back(), 0.9 * losses.front());
}

TEST(TrainVae, RefusesPicturesAndNetworksThatDoNotFit) {
  const auto data = std::make_shared<ToyDataset>(24, 8, 3);
  const auto message = [&](const VaeEncoderConfig& encoder, const DecoderConfig& decoder,
                           const VaeLossOptions& loss = {}) {
    return message_of<ConfigError>(
        [&] { (void)train_vae(data, encoder, decoder, kPixels, loss, short_training(1), {}); });
  };
  VaeEncoderConfig colour = tiny_encoder();
  colour.vit.channels = 3;
  EXPECT_NE(message(colour, tiny_decoder()).find("the encoder is for pictures of 3 x 8 x 8"),
            std::string::npos);
  DecoderConfig large = tiny_decoder();
  large.patch_size = 8;
  EXPECT_NE(message(tiny_encoder(), large).find("the decoder is for pictures of 1 x 16 x 16"),
            std::string::npos);
  large = tiny_decoder();
  large.grid_h = large.grid_w = 4;
  large.patch_size = 2;
  EXPECT_NE(message(tiny_encoder(), large).find("2 x 2 tokens"), std::string::npos);
  EXPECT_NE(message(tiny_encoder(), tiny_decoder(), {.kl_weight = -1}).find("kl_weight"),
            std::string::npos);
}

}  // namespace
}  // namespace rae::test
