#include "rae/metrics/token_spectrum.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "rae/core/random.hpp"

namespace rae {
namespace {

TEST(TokenSpectrumTest, EigenvaluesOfKnownTokens) {
  const Tensor<float> tokens(Shape{4, 3}, {8, 1, 5, 2, 1, 5, 5, 2, 5, 5, 0, 5});  // (N, D)
  const std::vector<double> values = token_spectrum(tokens.view());
  ASSERT_EQ(values.size(), 3u);
  EXPECT_NEAR(values[0], 4.5, 1e-12);  // 2 * 3^2 / 4
  EXPECT_NEAR(values[1], 0.5, 1e-12);
  EXPECT_NEAR(values[2], 0.0, 1e-12);
  // The singular values are in the ratio 3 : 1.
  const double expected = std::exp(-0.75 * std::log(0.75) - 0.25 * std::log(0.25));
  EXPECT_NEAR(effective_rank(tokens.view()), expected, 1e-12);
  EXPECT_EQ(token_spectrum(Tensor<float>(Shape{1, 2}, {3, 4}).view()), (std::vector<double>{0, 0}));
}

TEST(TokenSpectrumTest, TheSumIsThatOfTheVariances) {
  Tensor<float> tokens(Shape{50, 20});  // (N, D)
  Philox(3).fill_normal(tokens.span());
  double sum = 0, variances = 0;
  for (const double value : token_spectrum(tokens.view())) sum += value;
  for (index_t j = 0; j < 20; ++j) {
    double mean = 0, squares = 0;
    for (index_t i = 0; i < 50; ++i) {
      const double value = static_cast<double>(std::as_const(tokens)[i * 20 + j]);
      mean += value / 50;
      squares += value * value / 50;
    }
    variances += squares - mean * mean;
  }
  EXPECT_NEAR(sum, variances, 1e-10);
}

TEST(TokenSpectrumTest, EffectiveRankOfKnownValues) {
  using Values = std::vector<double>;
  EXPECT_NEAR(effective_rank(Values{2, 2, 2}), 3, 1e-12);
  EXPECT_NEAR(effective_rank(Values{0, 7, 0}), 1, 1e-12);
  EXPECT_NEAR(effective_rank(Values{1, 3}), 1.7547653506, 1e-9);
  EXPECT_NEAR(effective_rank(Values{1e300, 1e300}), 2, 1e-12);
  EXPECT_NEAR(effective_rank(Values{1e-300, 1e-300}), 2, 1e-12);
  EXPECT_EQ(effective_rank(Values{0, 0}), 0);
  EXPECT_EQ(effective_rank(Values{}), 0);
}

TEST(TokenSpectrumTest, TokensOnALineHaveRankOne) {
  Tensor<float> tokens(Shape{30, 8});  // (N, D), multiples of one token about another
  for (index_t i = 0; i < 30; ++i)
    for (index_t j = 0; j < 8; ++j)
      tokens.data()[i * 8 + j] = static_cast<float>(100 + i * (j + 1));
  EXPECT_NEAR(effective_rank(tokens.view()), 1, 1e-9);
}

TEST(TokenSpectrumTest, LeastLossOfANarrowNetwork) {
  const std::vector<double> spectrum{3, 1, 0, 0};
  EXPECT_DOUBLE_EQ(least_loss_of_width(spectrum, 0), (4 + 4) / 4.0);
  EXPECT_DOUBLE_EQ(least_loss_of_width(spectrum, 1), (1 + 3) / 4.0);
  EXPECT_DOUBLE_EQ(least_loss_of_width(spectrum, 2), 2 / 4.0);
  EXPECT_DOUBLE_EQ(least_loss_of_width(spectrum, 3), 1 / 4.0);
  EXPECT_EQ(least_loss_of_width(spectrum, 4), 0);
  EXPECT_EQ(least_loss_of_width(spectrum, 400), 0);
  const std::vector<double> ascending{0, 0, 1, 3};
  EXPECT_DOUBLE_EQ(least_loss_of_width(ascending, 1), 1.0);
  // Tokens that are all equal: only the noise is lost, half of it in Table 3 (width 384 of 768).
  EXPECT_DOUBLE_EQ(least_loss_of_width(std::vector<double>(768, 0.0), 384), 0.5);
}

TEST(TokenSpectrumTest, RejectsInvalidArguments) {
  EXPECT_THROW((void)token_spectrum(Tensor<float>().view()), ShapeError);
  EXPECT_THROW((void)token_spectrum(Tensor<float>(Shape{3}, 1.0f).view()), ShapeError);
  EXPECT_THROW((void)token_spectrum(Tensor<float>(Shape{2, 3}, NAN).view()), NumericError);
  EXPECT_THROW((void)effective_rank(std::vector<double>{1, -1}), ArgumentError);
  EXPECT_THROW((void)effective_rank(std::vector<double>{1, static_cast<double>(NAN)}),
               ArgumentError);
  EXPECT_THROW((void)least_loss_of_width({}, 1), ArgumentError);
  EXPECT_THROW((void)least_loss_of_width(std::vector<double>{1}, -1), ArgumentError);
}

}  // namespace
}  // namespace rae
