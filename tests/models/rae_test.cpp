#include "rae/models/rae.hpp"

#include <algorithm>

#include <gtest/gtest.h>

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
  const Tensor<float> latent = io("latent");
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
  Rae<float> rae(encoder, decoder, node.get<index_t>("encoder_input_size"), pixels);
  load_parameters(rae.encoder, encoder_names(f.family, f.prefix),
                  [&](const std::string& file) { return weights(file); });
  const NameMap names = decoder_names();
  load_parameters(rae.decoder, names,
                  [&](const std::string& file) { return weights("decoder." + file); });
  if (stat.contains("mean")) rae.latent_norm.mean = stat("mean");
  if (stat.contains("var")) rae.latent_norm.var = stat("var");
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
  // In training, tokens with noise of strength tau u: the draws are given.
  Tensor<float> tokens = rae.encode_tokens(io("image"));  // (B, N, D)
  const Tensor<float> strength = io("tau_uniform"), noise = io("tau_gauss");
  const index_t n = tokens.numel() / tokens.extent(0);
  for (index_t i = 0; i < tokens.numel(); ++i)
    tokens[i] += node.get<float>("noise_tau") * strength[i / n] * noise[i];
  const Tensor<float> noisy =
      rae.latent_norm.normalize(tokens_to_grid(tokens, latent.extent(2), latent.extent(3)));
  EXPECT_TRUE(close(noisy, io("latent_noisy"), 1e-4));
  EXPECT_TRUE(close(rae.decode(io("latent_noisy")), io("recon_noisy"), 2e-5));
}

INSTANTIATE_TEST_SUITE_P(
    Families, RaeGolden,
    testing::Values(Family{"rae_dinov2_tiny", EncoderFamily::dinov2, "encoder.encoder.", 1e-6},
                    Family{"rae_siglip2_tiny", EncoderFamily::siglip2, "encoder.model.", 1e-6},
                    Family{"rae_mae_tiny", EncoderFamily::mae, "encoder.model.", 1e-12}));

// An encoder with a grid of its own: 28 x 28 pixels in patches of 7, and a decoder of 2 x 3 tokens.
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
  Rae<float> rae(encoder, decoder, 28, PixelNorm{});
  std::uint64_t stream = 0;
  rae.encoder.parameters([&](const std::string&, auto& p) { init_normal(p, 0.5, 1, ++stream); });
  rae.decoder.parameters([&](const std::string&, auto& p) { init_normal(p, 0.5, 1, ++stream); });
  const Tensor<float> latent = rae.encode(Tensor<float>(Shape{2, 1, 20, 30}, 0.3f));
  EXPECT_EQ(latent.shape(), (Shape{2, 8, 4, 4}));
  const Tensor<float> picture = rae.decode(latent);
  EXPECT_EQ(picture.shape(), (Shape{2, 1, 10, 15}));
  EXPECT_TRUE(all_finite(picture.span()));
  // A latent that is constant over the grid has nothing to interpolate.
  const Tensor<float> wide(Shape{1, 8, 5, 1}, 0.7f), native(Shape{1, 8, 2, 3}, 0.7f);
  EXPECT_TRUE(close(rae.decode(wide), rae.decode(native), 1e-5));

  rae.latent_norm.mean = Tensor<float>(Shape{8, 4, 4}, 0.5f);
  EXPECT_EQ(rae.decode(latent).shape(), (Shape{2, 1, 10, 15}));
  EXPECT_THROW((void)rae.decode(wide), ShapeError);
  EXPECT_THROW((void)rae.decode(Tensor<float>(Shape{8, 4, 4}, 0.f)), ShapeError);
}

TEST(NoiseAugment, DependsOnTheSampleOnly) {
  const Tensor<float> two(Shape{2, 3, 4}, 0.f), one(Shape{1, 3, 4}, 0.f);
  for (const NoiseLaw law : {NoiseLaw::uniform, NoiseLaw::half_normal}) {
    const Tensor<float> both = noise_augment(two, 0.8, law, 5, 10),
                        second = noise_augment(one, 0.8, law, 5, 11);
    for (index_t i = 0; i < 12; ++i) EXPECT_EQ(both[12 + i], second[i]);
    EXPECT_FALSE(close(noise_augment(one, 0.8, law, 5, 10), second, 1e-3));
  }
  EXPECT_TRUE(close(noise_augment(two, 0.0, NoiseLaw::uniform, 5, 10), two, 0.0));
  EXPECT_THROW(noise_augment(two, -0.1, NoiseLaw::uniform, 5, 10), ArgumentError);
}

}  // namespace
}  // namespace rae
