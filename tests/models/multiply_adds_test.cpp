#include "rae/models/multiply_adds.hpp"

#include <gtest/gtest.h>

#include "rae/nn/outline.hpp"

namespace rae {
namespace {

// The numbers of the official decoders, counted by hooks on the modules of the PyTorch code.
TEST(MultiplyAdds, OfTheOfficialDecoders) {
  const DecoderConfig b{
      .hidden_size = 768, .num_layers = 12, .num_heads = 12, .intermediate_size = 3072};
  EXPECT_EQ(multiply_adds(b).layers, 22'130'786'304);
  EXPECT_EQ(multiply_adds(b).attention, 1'217'415'168);
  const DecoderConfig l{
      .hidden_size = 1024, .num_layers = 24, .num_heads = 16, .intermediate_size = 4096};
  EXPECT_EQ(multiply_adds(l).layers, 78'014'840'832);
  EXPECT_EQ(multiply_adds(l).attention, 3'246'440'448);
  const MultiplyAdds xl = multiply_adds(DecoderConfig{});
  EXPECT_EQ(xl.layers, 106'563'207'168);
  EXPECT_EQ(xl.attention, 4'260'953'088);
  EXPECT_EQ(xl.total(), 110'824'160'256);
}

/// The side of the feature map at whose positions a weight is applied, for latents of side `side`.
index_t side_of(const std::string& name, index_t side, std::size_t resolutions) {
  if (name.rfind("up_blocks.", 0) != 0)
    return name.rfind("conv_out", 0) == 0 ? side << (resolutions - 1) : side;
  const auto level = static_cast<index_t>(name[10] - '0');
  return side << (name.find("upsamplers") != std::string::npos ? level + 1 : level);
}

// Every matrix and every window is applied once at each position of its resolution.
TEST(MultiplyAdds, OfAConvolutionalDecoderAreWeightsTimesPositions) {
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
    EXPECT_EQ(multiply_adds(config, 32, 32).layers, expected);
  }
}

// Counted apart, layer by layer. The paper's Table 1 has 310.4 G for the layers.
TEST(MultiplyAdds, OfSdVae) {
  const MultiplyAdds cost = multiply_adds(ConvDecoderConfig{}, 32, 32);
  EXPECT_EQ(cost.layers, 310'019'899'392);
  EXPECT_EQ(cost.attention, 2 * 1024 * 1024 * 512);
  EXPECT_EQ(cost.flops(), 2.0 * static_cast<double>(cost.layers + cost.attention));
  EXPECT_EQ(parameter_count(parameter_shapes<ConvDecoder>(ConvDecoderConfig{})), 49'490'199);
}

}  // namespace
}  // namespace rae
