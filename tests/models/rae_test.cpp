#include "rae/models/rae.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include <limits>

#include "rae/formats/fill_weights.hpp"
#include "rae/io/image.hpp"
#include "rae/nn/initialize.hpp"
#include "support/golden.hpp"

namespace rae {
namespace {

using test::close;
using test::Golden;

struct Family {
  const char* name;
  EncoderFamily family;
  const char* prefix;
  double eps;
};

class RaeGolden : public testing::TestWithParam<Family> {};

TEST_P(RaeGolden, EncodesAndDecodes) {
  const Family& f = GetParam();
  const std::string name = f.name;
  const Golden io(name + "/io.safetensors"), weights(name + "/weights.safetensors"),
      stat(name + "/stat.safetensors");
  const ConfigNode node = test::golden_config(name);
  const ConfigNode &e = node.at("encoder"), &d = node.at("decoder");
  EncoderConfig encoder{.family = f.family,
                        .patch_size = e.get<index_t>("patch_size"),
                        .hidden_size = e.get<index_t>("hidden_size"),
                        .num_layers = e.get<index_t>("num_hidden_layers"),
                        .num_heads = e.get<index_t>("num_attention_heads"),
                        .registers = e.get_or<index_t>("num_register_tokens", 0),
                        .layer_norm_eps = f.eps};
  encoder.intermediate_size = e.contains("intermediate_size")
                                  ? e.get<index_t>("intermediate_size")
                                  : encoder.hidden_size * e.get<index_t>("mlp_ratio");
  encoder.table_h = encoder.table_w = e.get<index_t>("image_size") / encoder.patch_size;
  const Tensor<float> latent = io("latent");  // (B, C, h, w)
  const DecoderConfig decoder{.grid_h = latent.extent(2),
                              .grid_w = latent.extent(3),
                              .in_dim = latent.extent(1),
                              .hidden_size = d.get<index_t>("decoder_hidden_size"),
                              .num_layers = d.get<index_t>("decoder_num_hidden_layers"),
                              .num_heads = d.get<index_t>("decoder_num_attention_heads"),
                              .intermediate_size = d.get<index_t>("decoder_intermediate_size"),
                              .patch_size = d.get<index_t>("patch_size")};
  PixelNorm pixels;
  const auto mean = node.get<std::vector<double>>("image_mean"),
             deviation = node.get<std::vector<double>>("image_std");
  std::copy_n(mean.begin(), 3, pixels.mean.begin());
  std::copy_n(deviation.begin(), 3, pixels.std.begin());
  Encoder<Tensor<float>> encoder_weights(encoder);
  const auto decoder_weights = std::make_shared<Decoder<Tensor<float>>>(decoder);
  fill_weights(encoder_weights, {TensorSource(weights.file()), encoder_names(f.family, f.prefix)});
  const NameMap names = decoder_names();
  fill_weights(*decoder_weights, {TensorSource(weights.file()).under("decoder."), names});
  const index_t side = node.get<index_t>("encoder_input_size");
  RaeSettings<float> settings{side, side, pixels, {}};
  if (stat.contains("mean")) settings.latent_norm.mean = stat("mean");
  if (stat.contains("var")) settings.latent_norm.var = stat("var");
  const Rae<float> rae(encoder_network(std::move(encoder_weights)), decoder_weights, settings);
  EXPECT_TRUE(close(rae.encode(io("image")), latent, 1e-4));
  EXPECT_TRUE(close(rae.decode(latent), io("recon"), 2e-5));
  const Tensor<std::uint8_t> bytes =
      io.get<std::uint8_t>("recon_uint8_sample_ddp");  // (B, H, W, 3)
  std::vector<std::uint8_t> truncated;
  for (const Image& image : Image::from_batch(io("recon"), Rounding::truncate))
    truncated.insert(truncated.end(), image.pixels().begin(), image.pixels().end());
  EXPECT_TRUE(close(Tensor<std::uint8_t>(bytes.shape(), truncated), bytes, 0.0));
  // A picture of the encoder's own size is not resized.
  EXPECT_TRUE(close(rae.encode(io("image_noresize")), io("latent_noresize"), 1e-4));
  // In training, tokens have noise of standard deviation tau u. Here u and the noise are given.
  Tensor<float> tokens = rae.encode_tokens(io("image"));                      // (B, N, D)
  const Tensor<float> strength = io("tau_uniform"), noise = io("tau_gauss");  // (B), (B, N, D)
  const index_t n = tokens.numel() / tokens.extent(0);
  for (index_t i = 0; i < tokens.numel(); ++i)
    tokens[i] += node.get<float>("noise_tau") * strength[i / n] * noise[i];
  // (B, C, h, w)
  const Tensor<float> noisy =
      settings.latent_norm.normalize(tokens_to_grid(tokens, latent.extent(2), latent.extent(3)));
  EXPECT_TRUE(close(noisy, io("latent_noisy"), 1e-4));
  EXPECT_TRUE(close(rae.decode(io("latent_noisy")), io("recon_noisy"), 2e-5));
}

INSTANTIATE_TEST_SUITE_P(
    Families, RaeGolden,
    testing::Values(Family{"rae_dinov2_tiny", EncoderFamily::dinov2, "encoder.encoder.", 1e-6},
                    Family{"rae_siglip2_tiny", EncoderFamily::siglip2, "encoder.model.", 1e-6},
                    Family{"rae_mae_tiny", EncoderFamily::mae, "encoder.model.", 1e-12}));

// The encoder has a grid of 4 x 4 tokens, 28 x 28 pixels in patches of 7; the decoder has 2 x 3.
TEST(Rae, GridsOfEncoderAndDecoderMayDiffer) {
  const EncoderConfig encoder{.family = EncoderFamily::siglip2,
                              .patch_size = 7,
                              .channels = 1,
                              .hidden_size = 8,
                              .num_layers = 1,
                              .num_heads = 2,
                              .intermediate_size = 8,
                              .table_h = 4,
                              .table_w = 4};
  const DecoderConfig decoder{.grid_h = 2,
                              .grid_w = 3,
                              .in_dim = 8,
                              .hidden_size = 8,
                              .num_layers = 1,
                              .num_heads = 2,
                              .intermediate_size = 8,
                              .patch_size = 5,
                              .channels = 1};
  std::uint64_t stream = 0;
  Encoder<Tensor<float>> encoder_weights(encoder);
  const auto decoder_weights = std::make_shared<Decoder<Tensor<float>>>(decoder);
  const auto fill = [&](const std::string&, auto& p) { init_normal(p, 0.5, 1, ++stream); };
  encoder_weights.parameters(fill);
  decoder_weights->parameters(fill);
  const OwnedPointer<EncoderNetwork<Tensor<float>>> network =
      encoder_network(std::move(encoder_weights));
  RaeSettings<float> settings{28, 28, {}, {}};
  const Rae<float> rae(network, decoder_weights, settings);
  const Tensor<float> latent =
      rae.encode(Tensor<float>(Shape{2, 1, 20, 30}, 0.3f));  // (B, C, h, w)
  EXPECT_EQ(latent.shape(), (Shape{2, 8, 4, 4}));
  const Tensor<float> picture = rae.decode(latent);  // (B, 1, H, W)
  EXPECT_EQ(picture.shape(), (Shape{2, 1, 10, 15}));
  EXPECT_TRUE(all_finite(picture.span()));
  // Resizing does not change a latent that is constant over the grid.
  // (1, 8, 5, 1), (1, 8, 2, 3)
  const Tensor<float> wide(Shape{1, 8, 5, 1}, 0.7f), native(Shape{1, 8, 2, 3}, 0.7f);
  EXPECT_TRUE(close(rae.decode(wide), rae.decode(native), 1e-5));

  settings.latent_norm.mean = Tensor<float>(Shape{8, 4, 4}, 0.5f);
  const Rae<float> normalising(network, decoder_weights, settings);
  EXPECT_EQ(normalising.decode(latent).shape(), (Shape{2, 1, 10, 15}));
  EXPECT_THROW((void)normalising.decode(wide), ShapeError);
  EXPECT_THROW((void)normalising.decode(Tensor<float>(Shape{8, 4, 4}, 0.f)), ShapeError);

  // The use of an absent network throws, and so does a NaN in a result.
  EXPECT_THROW((void)Rae<float>(nullptr, decoder_weights, settings).encode(picture), ArgumentError);
  EXPECT_THROW((void)Rae<float>(network, nullptr, settings).decode(latent), ArgumentError);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW((void)rae.encode(Tensor<float>(Shape{1, 1, 28, 28}, nan)), NumericError);
  EXPECT_THROW((void)rae.decode(Tensor<float>(Shape{1, 8, 2, 3}, nan)), NumericError);
}

}  // namespace
}  // namespace rae
