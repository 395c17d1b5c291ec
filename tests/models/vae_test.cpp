#include "rae/models/vae.hpp"

#include <gtest/gtest.h>

#include "rae/autograd/gradcheck.hpp"
#include "rae/ops/loss.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::random_tensor;

/// For gray pictures of 8 x 4 with 2 x 1 tokens of 3 elements.
const VaeEncoderConfig kEncoder{.vit = {.family = EncoderFamily::siglip2,
                                        .patch_size = 4,
                                        .channels = 1,
                                        .hidden_size = 8,
                                        .num_layers = 1,
                                        .num_heads = 2,
                                        .intermediate_size = 12,
                                        .table_h = 2,
                                        .table_w = 1},
                                .latent_dim = 3};
const DecoderConfig kDecoder{.grid_h = 2,
                             .grid_w = 1,
                             .in_dim = 3,
                             .hidden_size = 8,
                             .num_layers = 1,
                             .num_heads = 2,
                             .intermediate_size = 12,
                             .patch_size = 4,
                             .channels = 1};

TEST(Vae, MeansAreTheFirstHalfOfTheMoments) {
  Vae<Tensor<float>> vae(kEncoder, kDecoder);
  initialize(vae, 1);
  const Tensor<float> images = random_tensor<float>({2, 1, 8, 4}, 1);  // (B, C, H, W)
  const Tensor<float> moments = vae.encoder.moments(images),           // (B, N, 2C)
      means = vae.encoder(images);                                     // (B, N, C)
  EXPECT_TRUE((moments.shape() == Shape{2, 2, 6}));
  EXPECT_TRUE((means.shape() == Shape{2, 2, 3}));
  for (index_t i = 0; i < means.numel(); ++i) EXPECT_EQ(means[i], moments[i / 3 * 6 + i % 3]);
}

TEST(Vae, GradientsAgreeWithFiniteDifferences) {
  Vae<Var<double>> start(kEncoder, kDecoder);
  initialize(start, 3);
  // The norm of a class token of zeros is not smooth.
  init_normal(start.decoder.cls_token, 1.0, 3, 0);
  std::vector<Tensor<double>> inputs = {random_tensor<double>({2, 1, 8, 4}, 4)};
  start.parameters([&](const std::string&, auto& p) { inputs.push_back(p.tensor()); });
  const Tensor<double> noise = random_tensor<double>({2, 2, 3}, 5);      // (B, N, C)
  const Tensor<double> target = random_tensor<double>({2, 1, 8, 4}, 6);  // (B, C, H, W)
  const GradcheckResult result = gradcheck(
      [&](const std::vector<Var<double>>& in) {
        Vae<Var<double>> vae(kEncoder, kDecoder);
        std::size_t i = 1;
        vae.parameters([&](const std::string&, auto& p) { p.value = in[i++]; });
        const Var<double> moments = vae.encoder.moments(in[0]);  // (B, N, 2C)
        return add(mse_loss(vae.decoder(gaussian_sample(moments, noise)), target),
                   scale(kl_loss(moments), 0.1));
      },
      inputs);
  EXPECT_LT(result.worst, 1e-7) << result.where;
}

// Both networks of a VAE are those of an Rae, which encodes to normalised means and decodes them.
TEST(Vae, IsAnAutoencoder) {
  Vae<Tensor<float>> vae(kEncoder, kDecoder);
  initialize(vae, 1);
  const PixelNorm pixels{{0.5, 0, 0}, {0.25, 1, 1}};
  LatentNorm<float> norm;
  norm.mean = random_tensor<float>({3, 2, 1}, 7);  // (C, h, w)
  norm.var = Tensor<float>(Shape{3, 2, 1}, 4.0f);  // (C, h, w)
  const Rae<float> autoencoder = vae_autoencoder(vae, pixels, norm);
  EXPECT_EQ(autoencoder.encoder().shape(), (EncoderShape{1, 4, 3}));
  const Tensor<float> images = random_tensor<float>({2, 1, 8, 4}, 1);         // (B, 1, H, W)
  const Tensor<float> means = vae.encoder(normalize_pixels(images, pixels));  // (B, N, C)
  const Tensor<float> latents = autoencoder.encode(images);                   // (B, C, h, w)
  EXPECT_TRUE(test::close(latents, norm.normalize(tokens_to_grid(means, 2, 1)), 0.0));
  EXPECT_TRUE(test::close(autoencoder.decode(latents),
                          denormalize_pixels(vae.decoder(means), pixels), 1e-5));
  EXPECT_EQ(autoencoder.encoder().features(images).size(), 1u);
}

TEST(Vae, NetworksBeginWithDifferentNumbers) {
  Vae<Tensor<float>> vae(kEncoder, kDecoder);
  initialize(vae, 1);
  EXPECT_NE(vae.encoder.vit.layers[0].fc1.weight.tensor()[0],
            vae.decoder.layers[0].fc1.weight.tensor()[0]);
  EXPECT_NE(vae.encoder.head.weight.tensor()[0], 0.0f);
}

TEST(Vae, RefusesNetworksThatDoNotFit) {
  DecoderConfig wide = kDecoder;
  wide.in_dim = 4;
  EXPECT_THROW(Vae<Tensor<float>>(kEncoder, wide), ConfigError);
  VaeEncoderConfig none = kEncoder;
  none.latent_dim = 0;
  EXPECT_THROW(VaeEncoder<Tensor<float>>{none}, ConfigError);
}

}  // namespace
}  // namespace rae
