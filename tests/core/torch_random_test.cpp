// The golden numbers are those of torch 1.13 on a CPU with AVX2. For each run in config.json,
// `torch.manual_seed(seed)` was called, then rand, randn, randperm and randint(-3, 1000) in the
// order given there. The file has the numbers of all calls concatenated; of calls with more than 40
// numbers, only the first and the last 20.
#include "rae/core/torch_random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "support/golden.hpp"

namespace rae {
namespace {

TEST(MersenneTwister, IsTheStandardGenerator) {
  for (const std::uint32_t seed : {0u, 5489u, 0xffffffffu}) {
    MersenneTwister ours(seed);
    std::mt19937 standard(seed);
    for (int i = 0; i < 2000; ++i) ASSERT_EQ(ours(), standard()) << i;
  }
}

TEST(TorchCpuGenerator, AgreesWithTorch) {
  const Tensor<float> expected =
      test::Golden("torch_random/io.safetensors")("values");  // (numbers)
  const ConfigNode config = test::golden_config("torch_random");
  std::vector<float> values;
  std::vector<bool> exact;
  for (const ConfigNode& run : config.at("runs").elements()) {
    TorchCpuGenerator generator(run.get<std::uint64_t>("seed"));
    for (const ConfigNode& call : run.at("calls").elements()) {
      const std::string kind = call.elements()[0].as_string();
      const auto n = call.elements()[1].as<std::size_t>();
      std::vector<float> drawn(n);
      std::vector<std::int64_t> integers;
      if (kind == "uniform") generator.fill_uniform(drawn);
      if (kind == "normal") generator.fill_normal(drawn);
      if (kind == "permutation") integers = generator.permutation(static_cast<std::int64_t>(n));
      if (kind == "integers")
        generator.fill_integers(integers = std::vector<std::int64_t>(n), -3, 1000);
      std::transform(integers.begin(), integers.end(), drawn.begin(),
                     [](std::int64_t v) { return static_cast<float>(v); });
      for (std::size_t i = 0; i < n; ++i) {
        if (n > 40 && i >= 20 && i < n - 20) continue;
        values.push_back(drawn[i]);
        exact.push_back(kind != "normal");
      }
    }
  }
  ASSERT_EQ(static_cast<index_t>(values.size()), expected.numel());
  // Normals must agree within two units in the last place, everything else bit for bit.
  EXPECT_TRUE(test::close_each(
      Tensor<float>(expected.shape(), std::span<const float>(values)), expected, [&](index_t i) {
        const float size = std::abs(expected[i]);
        return exact[static_cast<std::size_t>(i)]
                   ? 0.0
                   : 2.0 * static_cast<double>(std::nextafter(size, INFINITY) - size);
      }));
}

TEST(TorchCpuGenerator, RefusesEmptyAndTooLargeRanges) {
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
