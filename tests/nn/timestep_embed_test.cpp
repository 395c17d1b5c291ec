#include "rae/nn/timestep_embed.hpp"

#include <gtest/gtest.h>

#include "support/golden.hpp"

namespace rae {
namespace {

using test::close;
using test::Golden;

TEST(TimestepEmbed, MatchesTheOfficialEmbedding) {
  const Golden io("tables/io.safetensors");
  const Tensor<float> expected = io("temb.out");  // (B, D)
  TimestepEmbed<Tensor<float>> embed(expected.extent(1));
  embed.parameters(
      [&](const std::string& name, Parameter<Tensor<float>>& p) { p.set(io("temb." + name)); });
  EXPECT_TRUE(close(embed(io("temb.t")), expected, 1e-5));
}

}  // namespace
}  // namespace rae
