#include "rae/models/encoder.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "rae/formats/fill_weights.hpp"
#include "support/golden.hpp"

namespace rae {
namespace {

using test::close;
using test::Golden;

struct Case {
  const char* name;
  EncoderFamily family;
  const char* prefix;
  double eps;
};

class EncoderGolden : public testing::TestWithParam<Case> {};

TEST_P(EncoderGolden, TokensMatch) {
  const Case& c = GetParam();
  const std::string name = c.name;
  const Golden io(name + "/io.safetensors"), weights(name + "/weights.safetensors");
  const ConfigNode node = test::golden_config(name).at("encoder");
  EncoderConfig config;
  config.family = c.family;
  config.patch_size = node.get<index_t>("patch_size");
  config.hidden_size = node.get<index_t>("hidden_size");
  config.num_layers = node.get<index_t>("num_hidden_layers");
  config.num_heads = node.get<index_t>("num_attention_heads");
  config.intermediate_size = node.contains("intermediate_size")
                                 ? node.get<index_t>("intermediate_size")
                                 : config.hidden_size * node.get<index_t>("mlp_ratio");
  config.registers = node.get_or<index_t>("num_register_tokens", 0);
  config.table_h = config.table_w = node.get<index_t>("image_size") / config.patch_size;
  config.layer_norm_eps = c.eps;
  Encoder<Tensor<float>> encoder(config);
  fill_weights(encoder, {TensorSource(weights.file()), encoder_names(c.family, c.prefix)});

  const Tensor<float> image = io("image");             // (2, 3, H, W)
  const Tensor<float> expected = io("encoder_input");  // (2, 3, h*P, w*P)
  Tensor<float> input(expected.shape());               // (2, 3, h*P, w*P)
  resize<float>(image, Resize::bicubic, input);
  const bool imagenet = c.family != EncoderFamily::siglip2;
  const double mean[] = {0.485, 0.456, 0.406}, std[] = {0.229, 0.224, 0.225};
  const index_t plane = input.extent(2) * input.extent(3);
  float* pixels = input.data();
  for (index_t i = 0; i < input.numel(); ++i) {
    const index_t channel = i / plane % 3;
    pixels[i] = static_cast<float>(imagenet ? (pixels[i] - mean[channel]) / std[channel]
                                            : (pixels[i] - 0.5) / 0.5);
  }
  // The reference rounds sampling positions to float; this library does not. The tolerance is the
  // same as for all forward passes.
  EXPECT_TRUE(close(input, expected, 1e-4));
  EXPECT_TRUE(close(encoder(expected), io("encoder_tokens"), 5e-5));
  // In this library the registers are before the class token, in the official models after it.
  const auto official_order = [&](const Tensor<float>& x) {
    const index_t registers = config.family == EncoderFamily::dinov2 ? config.registers : 0;
    if (registers == 0) return x;
    Tensor<float> out(x.shape());  // (B, P+N, D)
    for (index_t b = 0; b < x.extent(0); ++b)
      for (index_t token = 0; token < x.extent(1); ++token) {
        const index_t from = token == 0 ? registers : token <= registers ? token - 1 : token;
        std::copy_n(x.data() + (b * x.extent(1) + from) * x.extent(2), x.extent(2),
                    out.data() + (b * x.extent(1) + token) * x.extent(2));
      }
    return out;
  };
  Tensor<float> x = encoder.embed(expected);  // (B, P+N, D)
  EXPECT_TRUE(close(official_order(x), io("embeddings_out"), 2e-5));
  for (std::size_t i = 0; i < encoder.layers.size(); ++i) {
    x = encoder.layers[i](x);  // (B, P+N, D)
    EXPECT_TRUE(close(official_order(x), io(concat("layer", i, "_out")), 2e-5)) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Families, EncoderGolden,
    testing::Values(Case{"rae_dinov2_tiny", EncoderFamily::dinov2, "encoder.encoder.", 1e-6},
                    Case{"rae_siglip2_tiny", EncoderFamily::siglip2, "encoder.model.", 1e-6},
                    Case{"rae_mae_tiny", EncoderFamily::mae, "encoder.model.", 1e-12}));

TEST(Encoder, RejectsSizesThatDoNotFitThePatch) {
  EncoderConfig config{.hidden_size = 8,
                       .num_layers = 1,
                       .num_heads = 2,
                       .intermediate_size = 8,
                       .table_h = 2,
                       .table_w = 2};
  const Encoder<Tensor<float>> encoder(config);
  EXPECT_THROW(encoder(Tensor<float>(Shape{1, 3, 28, 30}, 0.f)), ShapeError);
  EXPECT_THROW(encoder(Tensor<float>(Shape{1, 1, 28, 28}, 0.f)), ShapeError);
  // The grid is not square, so the position table is resized.
  EXPECT_EQ(encoder(Tensor<float>(Shape{1, 3, 28, 42}, 0.f)).shape(), (Shape{1, 6, 8}));
}

}  // namespace
}  // namespace rae
