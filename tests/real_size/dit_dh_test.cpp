#include "rae/models/dit_dh.hpp"

#include <gtest/gtest.h>

#include <numbers>

#include "support/golden_model.hpp"
#include "support/procedural_weights.hpp"

namespace rae {
namespace {

// DiT^DH-S for 256 x 256 pictures: a backbone of 12 blocks of width 384 and a head of 2 blocks of width 2048. The tolerance is 1e-3 of the
// output's deviation.
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
  const Tensor<std::int64_t> y = io.get<std::int64_t>("y");
  const Tensor<float> out = model(test::procedural({1, 768, 16, 16}, 7777, 2 * std::numbers::sqrt3), io("t"), y.span());
  double square = 0;
  for (const float v : out.span()) square += static_cast<double>(v) * static_cast<double>(v) / static_cast<double>(out.numel());
  const double tolerance = 1e-3 * std::sqrt(square);
  constexpr index_t kPlane = 256;
  Tensor<float> every4(io("out_every4").shape()), mean(io("out_ch_mean").shape()), deviation(io("out_ch_std").shape());
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
