// The golden numbers are those of torch 1.13 on a CPU with AVX2: for each run of config.json `torch.manual_seed(seed)`, then its calls of
// rand, randn, randperm and randint(-3, 1000) in their order, all numbers one after the other, of draws above 40 the first and last 20.
#include "rae/core/torch_random.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "support/golden.hpp"

namespace rae {
namespace {

/// Distance in units in the last place; both are finite.
std::int64_t ulps(float a, float b) {
  const auto rank = [](float x) {
    const auto bits = static_cast<std::int64_t>(std::bit_cast<std::uint32_t>(x));
    return bits < 0x80000000 ? bits : 0x80000000 - bits;
  };
  return std::abs(rank(a) - rank(b));
}

TEST(MersenneTwister, IsTheStandardOne) {
  for (const std::uint32_t seed : {0u, 5489u, 0xffffffffu}) {
    MersenneTwister ours(seed);
    std::mt19937 standard(seed);
    for (int i = 0; i < 2000; ++i) ASSERT_EQ(ours(), standard()) << i;
  }
}

TEST(TorchCpuGenerator, DrawsWhatTorchDraws) {
  const Tensor<float> values = test::Golden("torch_random/io.safetensors")("values");
  const ConfigNode config = test::golden_config("torch_random");
  index_t at = 0;
  for (const ConfigNode& run : config.at("runs").elements()) {
    TorchCpuGenerator generator(run.get<std::uint64_t>("seed"));
    for (const ConfigNode& call : run.at("calls").elements()) {
      const std::string kind = call.elements()[0].as_string();
      const auto n = call.elements()[1].as<std::size_t>();
      std::vector<float> drawn(n);
      std::vector<std::int64_t> integers(n);
      if (kind == "uniform") generator.fill_uniform(drawn);
      if (kind == "normal") generator.fill_normal(drawn);
      if (kind == "permutation") integers = generator.permutation(static_cast<std::int64_t>(n));
      if (kind == "integers") generator.fill_integers(integers, -3, 1000);
      for (std::size_t i = 0; i < n; ++i) {
        if (n > 40 && i >= 20 && i < n - 20) continue;
        const float expected = values[at++];
        if (kind == "normal") {
          ASSERT_LE(ulps(drawn[i], expected), 2) << kind << " " << i << " of " << n << ": " << drawn[i] << ", expected " << expected;
        } else {
          ASSERT_EQ(kind == "uniform" ? drawn[i] : static_cast<float>(integers[i]), expected) << kind << " " << i << " of " << n;
        }
      }
    }
  }
  EXPECT_EQ(at, values.numel());
}

TEST(TorchCpuGenerator, RefusesRangesWithoutACommonAnswer) {
  TorchCpuGenerator generator(0);
  std::vector<std::int64_t> out(3);
  EXPECT_THROW(generator.fill_integers(out, 5, 5), ArgumentError);
  EXPECT_THROW(generator.fill_integers(out, 5, 4), ArgumentError);
  EXPECT_THROW(generator.fill_integers(out, 0, (std::int64_t{1} << 28) + 1), ArgumentError);
  EXPECT_THROW((void)generator.permutation(-1), ArgumentError);
  EXPECT_THROW((void)generator.permutation((std::int64_t{1} << 27) + 1), ArgumentError);
  EXPECT_TRUE(generator.permutation(0).empty());
}

}  // namespace
}  // namespace rae
