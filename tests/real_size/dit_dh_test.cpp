#include "rae/models/dit_dh.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "support/golden_model.hpp"
#include "support/procedural_weights.hpp"

namespace rae {
namespace {

// DiT^DH-S for 256 x 256 pictures: a backbone of 12 blocks of width 384 and a head of 2 blocks of
// width 2048. The tolerance is 1e-3 of the output's standard deviation.
TEST(RealSize, DitDhSmallMatches) {
  const test::Golden io("real_ditdh_s/io.safetensors");
  const ConfigNode node = test::golden_config("real_ditdh_s");
  const test::ProceduralWeights weights(node);
  DitDh<Tensor<float>> model(test::dit_dh_config(node));
  model.parameters([&](const std::string& name, Parameter<Tensor<float>>& p) {
    if (weights.contains(name))
      p.set(weights(name, p.shape()));
    else
      p.set(sincos_position_table<float>(16, 16, p.shape()[2]).reshaped(p.shape()));
  });
  const Tensor<std::int64_t> y = io.get<std::int64_t>("y");  // (B)
  // The forward pass, and three tokens after some of the blocks, within 1e-3 of their standard
  // deviation.
  const auto expect_tokens = [&](const Tensor<float>& x, const std::string& block) {
    const index_t width = x.extent(2);
    Tensor<float> tokens(Shape{3, width});  // (3, D)
    float* target = tokens.data();
    for (const index_t token : {0, 17, 255})
      target = std::copy_n(std::as_const(x).data() + token * width, width, target);
    double square = 0;
    for (const float v : std::as_const(tokens).span())
      square += double{v} * double{v} / static_cast<double>(tokens.numel());
    EXPECT_TRUE(test::close(tokens, io(block + "_tok0_17_255"), 1e-3 * std::sqrt(square))) << block;
  };
  const Tensor<float> tokens = grid_to_tokens(
      test::procedural({1, 768, 16, 16}, 7777, 2 * std::numbers::sqrt3));  // (1, 256, 768)
  const RopeTable<float> narrow = make_rope_table<float>(16, 16, 384 / model.config().num_heads[0]);
  const RopeTable<float> wide = make_rope_table<float>(16, 16, 2048 / model.config().num_heads[1]);
  const Tensor<float> first =
      add_broadcast(model.s_embedder(tokens), model.pos_embed.value);  // (1, 256, 384)
  const Conditioning<Tensor<float>> condition = model.conditioning(io("t"), y.span());
  expect_tokens(model.blocks[0].modulated(first, condition.modulation[0], &narrow), "block0");
  Tensor<float> s = model.backbone(tokens, condition);  // (1, 256, 384)
  expect_tokens(s, "block11");
  s = model.s_projector(silu(add_per_image(s, condition.time)));  // (1, 256, 2048)
  Tensor<float> z = model.x_embedder(tokens);                     // (1, 256, 2048)
  for (const std::size_t i : {12u, 13u}) {
    z = model.blocks[i](z, s, &wide);
    expect_tokens(z, concat("block", i));
  }
  const Tensor<float> out = tokens_to_grid(model.final_layer(z, s), 16, 16);  // (1, 768, 16, 16)
  double square = 0;
  for (const float v : out.span())
    square += static_cast<double>(v) * static_cast<double>(v) / static_cast<double>(out.numel());
  const double tolerance = 1e-3 * std::sqrt(square);
  constexpr index_t kPlane = 256;
  // (1, 192, 16, 16), (1, 768), (1, 768): every fourth channel, and the moments of all
  Tensor<float> every4(io("out_every4").shape()), mean(io("out_ch_mean").shape()),
      deviation(io("out_ch_std").shape());
  ASSERT_EQ(every4.numel(), 192 * kPlane);
  for (index_t c = 0; c < 768; ++c) {
    double sum = 0, squares = 0;
    for (index_t i = 0; i < kPlane; ++i) {
      const auto v = static_cast<double>(out[c * kPlane + i]);
      sum += v / kPlane;
      squares += v * v;
      if (c % 4 == 0) every4[c / 4 * kPlane + i] = out[c * kPlane + i];
    }
    mean[c] = static_cast<float>(sum);
    deviation[c] = static_cast<float>(std::sqrt((squares - kPlane * sum * sum) / (kPlane - 1)));
  }
  EXPECT_TRUE(test::close(every4, io("out_every4"), tolerance));
  EXPECT_TRUE(test::close(mean, io("out_ch_mean"), tolerance));
  EXPECT_TRUE(test::close(deviation, io("out_ch_std"), tolerance));
}

}  // namespace
}  // namespace rae
