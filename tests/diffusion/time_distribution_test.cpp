#include "rae/diffusion/time_distribution.hpp"

#include <cmath>

#include "rae/core/random.hpp"
#include "rae/diffusion/time_shift.hpp"
#include "support/golden.hpp"

namespace rae {
namespace {

TEST(TimeDistributionTest, AgreesWithTheOfficialTransport) {
  const test::Golden golden("transport_time/io.safetensors");
  const Tensor<float> uniforms = golden("U");  // (N)
  for (const std::string name : {"uniform", "logit-normal_0_1", "logit-normal_-0.5_0.8"}) {
    const TimeDistribution distribution = TimeDistribution::parse(name);
    Tensor<float> t = uniforms;  // (N)
    distribution.transform(t.span());
    // The reference inverts the normal distribution in float.
    test::expect_close(t, golden("train_t." + name + ".1"), 1e-6, name);
    for (float& value : t.span()) value = time_shift(value, std::sqrt(48.0));
    test::expect_close(t, golden("train_t." + name + ".sqrt48"), 1e-6, name);
  }
  Tensor<float> raw = uniforms;  // (N)
  TimeDistribution::logit_normal(0.0, 1.0).transform(raw.span());
  test::expect_close(raw, golden("logitnormal_raw_0_1_lo0_hi0.999"), 1e-6);
}

TEST(TimeDistributionTest, StaysInsideTheIntervalAndIncreases) {
  for (const TimeInterval interval :
       {TimeInterval{}, TimeInterval{0.001, 0.999}, TimeInterval{0.2, 0.3}, TimeInterval{0.0, 1.0}})
    for (const TimeDistribution& d : {TimeDistribution::uniform(interval),
                                      TimeDistribution::logit_normal(0.3, 1.2, interval)}) {
      EXPECT_NEAR(d(0.0), interval.low, 1e-12);
      EXPECT_NEAR(d(1.0), interval.high, 1e-12);
      double previous = -1.0;
      for (int i = 0; i <= 1000; ++i) {
        const double t = d(i / 1000.0);
        EXPECT_GE(t, interval.low);
        EXPECT_LE(t, interval.high);
        EXPECT_GT(t, previous);
        previous = t;
      }
    }
}

TEST(TimeDistributionTest, HasMedianAndSpreadOfTheLogitNormal) {
  const auto distribution = TimeDistribution::logit_normal(-0.5, 0.8, {0.0, 1.0});
  EXPECT_NEAR(distribution(0.5), 1.0 / (1.0 + std::exp(0.5)), 1e-14);
  double sum = 0.0, squares = 0.0;
  constexpr int kSamples = 20000;
  for (int i = 0; i < kSamples; ++i) {
    const double t = distribution(
        static_cast<double>(Philox(9).uniform(static_cast<std::uint64_t>(i))) + 0x1p-25);
    const double logit = std::log(t / (1 - t));
    sum += logit;
    squares += logit * logit;
  }
  const double mean = sum / kSamples;
  EXPECT_NEAR(mean, -0.5, 0.03);
  EXPECT_NEAR(std::sqrt(squares / kSamples - mean * mean), 0.8, 0.03);
}

TEST(TimeDistributionTest, ParsesItsOwnName) {
  for (const std::string text : {"uniform", "logit-normal_0_1", "logit-normal_-0.5_0.8"})
    EXPECT_EQ(TimeDistribution::parse(text).to_string(), text);
  EXPECT_DOUBLE_EQ(TimeDistribution()(1.0), 0.999);
}

TEST(TimeDistributionTest, RejectsInvalidArguments) {
  for (const std::string text :
       {"", "Uniform", "logit-normal", "logit-normal_", "logit-normal_0", "logit-normal_0_",
        "logit-normal_0_0", "logit-normal_0_-1", "logit-normal_a_1", "logit-normal_0_1x",
        "logit-normal_0_1_2", "logit-normal_nan_1", "logit-normal_0_inf"})
    EXPECT_THROW((void)TimeDistribution::parse(text), ArgumentError) << text;
  EXPECT_THROW((void)TimeDistribution::uniform({0.5, 0.5}), ArgumentError);
  EXPECT_THROW((void)TimeDistribution::uniform({-0.1, 0.5}), ArgumentError);
  EXPECT_THROW((void)TimeDistribution::uniform({0.0, 1.1}), ArgumentError);
  EXPECT_THROW((void)TimeDistribution::uniform({0.0, NAN}), ArgumentError);
  EXPECT_THROW((void)TimeDistribution::logit_normal(200.0, 0.1),
               ArgumentError);  // no probability mass below 0.999
}

}  // namespace
}  // namespace rae
