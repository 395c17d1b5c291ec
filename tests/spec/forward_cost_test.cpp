#include "rae/spec/forward_cost.hpp"

#include <gtest/gtest.h>

#include "rae/nn/outline.hpp"

namespace rae {
namespace {

// The numbers of the official decoders, counted by hooks on the modules of the PyTorch code.
TEST(ForwardCost, OfTheOfficialDecoders) {
  const DecoderConfig b{
      .hidden_size = 768, .num_layers = 12, .num_heads = 12, .intermediate_size = 3072};
  EXPECT_EQ(forward_cost(b).layers, 22'130'786'304);
  EXPECT_EQ(forward_cost(b).attention, 1'217'415'168);
  const DecoderConfig l{
      .hidden_size = 1024, .num_layers = 24, .num_heads = 16, .intermediate_size = 4096};
  EXPECT_EQ(forward_cost(l).layers, 78'014'840'832);
  EXPECT_EQ(forward_cost(l).attention, 3'246'440'448);
  const ForwardCost xl = forward_cost(DecoderConfig{});
  EXPECT_EQ(xl.layers, 106'563'207'168);
  EXPECT_EQ(xl.attention, 4'260'953'088);
  EXPECT_EQ(xl.total(), 110'824'160'256);
}

// The formula of the official configurations: N tokens, widths h and d, depths a and b, C channels,
// hidden widths of SwiGLU m.
TEST(ForwardCost, OfTheOfficialDiffusionNetworks) {
  constexpr index_t n = 256, h = 1152, d = 2048, a = 28, b = 2, c = 768, mh = 3072, md = 5461;
  const ForwardCost xl = forward_cost(DitDhConfig{});
  EXPECT_EQ(xl.layers, n * c * (h + d) + n * h * d + a * n * (4 * h * h + 3 * h * mh) +
                           b * n * (4 * d * d + 3 * d * md + 6 * d * d) + 2 * n * d * d +
                           n * d * c);
  EXPECT_EQ(xl.conditioning, 512 * h + h * h + a * 6 * h * h);
  EXPECT_EQ(xl.attention, 2 * n * n * (a * h + b * d));
  EXPECT_EQ(xl.evaluation() + xl.conditioning, xl.total());
  // 161.579 G by hooks on the official modules.
  EXPECT_NEAR(static_cast<double>(xl.total()), 161.579e9, 1e6);
  const ForwardCost lightning = forward_cost(LightningDitConfig{});
  EXPECT_NEAR(static_cast<double>(lightning.total()), 119.061e9, 1e6);
  EXPECT_EQ(lightning.attention, 2 * n * n * a * h);
}

// The released network of RAEv2: patches N, tokens T with those of time and class, C channels.
TEST(ForwardCost, OfTheNetworksOfVersion2) {
  constexpr index_t n = 256, t = 256 + 4 + 8, h = 1440, d = 2048, a = 28, b = 2, c = 1024,
                    mh = 3840, md = 5461;
  TokenDitDhConfig config;
  config.in_channels = c;
  config.hidden_size = h;
  config.num_heads = 20;
  config.base_depth = config.align_depth = 8;
  config.align_width = 768;
  const ForwardCost cost = forward_cost(config);
  EXPECT_EQ(cost.layers, a * t * (4 * h * h + 3 * h * mh) + n * (c * h + h * d + c * d) +
                             b * n * (4 * d * d + 3 * d * md + 6 * d * d) +
                             n * (d * c + 2 * d * d));
  EXPECT_EQ(cost.attention, 2 * t * t * a * h + 2 * n * n * b * d);
  EXPECT_EQ(cost.conditioning, 512 * h + h * h);
  TokenDitConfig plain;
  static_cast<TokenBackboneConfig&>(plain) = config;
  const ForwardCost lightning = forward_cost(plain);
  EXPECT_EQ(lightning.layers, a * t * (4 * h * h + 3 * h * mh) + 2 * n * c * h);
  EXPECT_EQ(lightning.attention, 2 * t * t * a * h);
}

// DINOv2-B with registers, by hooks on the official modules.
TEST(ForwardCost, OfAnEncoder) {
  const ForwardCost dinov2 = forward_cost(EncoderConfig{}, 224, 224);
  EXPECT_NEAR(static_cast<double>(dinov2.layers), 22.284e9, 1e6);
  EXPECT_NEAR(static_cast<double>(dinov2.attention), 1.256e9, 1e6);
}

/// The side of the feature map at whose positions a weight is applied, for latents of side `side`.
index_t side_of(const std::string& name, index_t side, std::size_t resolutions) {
  if (name.rfind("up_blocks.", 0) != 0)
    return name.rfind("conv_out", 0) == 0 ? side << (resolutions - 1) : side;
  const auto level = static_cast<index_t>(name[10] - '0');
  return side << (name.find("upsamplers") != std::string::npos ? level + 1 : level);
}

// Every matrix and every window is applied once at each position of its resolution.
TEST(ForwardCost, OfAConvolutionalDecoderAreWeightsTimesPositions) {
  for (const ConvDecoderConfig& config :
       {ConvDecoderConfig{}, ConvDecoderConfig{.latent_channels = 3,
                             .channels = 1,
                             .block_channels = {8, 4, 12},
                             .layers_per_block = 1,
                             .groups = 4}}) {
    index_t expected = 0;
    for (const ParameterShape& p : parameter_shapes<ConvDecoder>(config))
      if (p.shape.rank() > 1) {
        const index_t side = side_of(p.name, 32, config.block_channels.size());
        expected += p.shape.numel() * side * side;
      }
    EXPECT_EQ(forward_cost(config, 32, 32).layers, expected);
  }
}

// Counted apart, layer by layer. The paper's Table 1 has 310.4 G for the layers.
TEST(ForwardCost, OfSdVae) {
  const ForwardCost cost = forward_cost(ConvDecoderConfig{}, 32, 32);
  EXPECT_EQ(cost.layers, 310'019'899'392);
  EXPECT_EQ(cost.attention, 2 * 1024 * 1024 * 512);
  EXPECT_EQ(cost.conditioning, 0);
  EXPECT_EQ(cost.largest_output, 256 * 256 * 256);
  EXPECT_EQ(parameter_count(parameter_shapes<ConvDecoder>(ConvDecoderConfig{})), 49'490'199);
}

}  // namespace
}  // namespace rae
