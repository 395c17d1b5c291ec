#include "rae/diffusion/inverse_normal.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace rae {
namespace {

TEST(InverseNormalTest, KnownQuantiles) {
  // Quantiles to 17 digits, from 40-digit arithmetic.
  const std::pair<double, double> quantiles[] = {{0.5, 0.0},
                                                 {0.975, 1.959963984540054},
                                                 {0.9, 1.2815515655446004},
                                                 {0.25, -0.6744897501960817},
                                                 {0.001, -3.0902323061678136},
                                                 {1e-10, -6.361340902404056},
                                                 {1e-20, -9.262340089798408}};
  for (const auto& [p, x] : quantiles)
    EXPECT_NEAR(inverse_normal_cdf(p), x, 2e-15 * std::max(1.0, std::abs(x))) << p;
}

TEST(InverseNormalTest, InvertsTheDistributionFunction) {
  for (double x = -8.0; x <= 3.0; x += 0.03125)
    EXPECT_NEAR(inverse_normal_cdf(normal_cdf(x)), x, 4e-14) << x;
  // At the boundaries of the three approximations.
  for (const double p : {0.075, 0.925, std::exp(-25.0)})
    EXPECT_NEAR(inverse_normal_cdf(std::nextafter(p, 0.0)),
                inverse_normal_cdf(std::nextafter(p, 1.0)), 1e-14)
        << p;
}

TEST(InverseNormalTest, IsOddAboutOneHalf) {
  for (double p = 0.0078125; p < 0.5; p += 0.0078125)
    EXPECT_DOUBLE_EQ(inverse_normal_cdf(p), -inverse_normal_cdf(1.0 - p));
}

TEST(InverseNormalTest, IsInfiniteAtTheEndsAndNanOutside) {
  EXPECT_EQ(inverse_normal_cdf(0.0), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(inverse_normal_cdf(1.0), std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(inverse_normal_cdf(-0.1)));
  EXPECT_TRUE(std::isnan(inverse_normal_cdf(1.1)));
  EXPECT_TRUE(std::isnan(inverse_normal_cdf(NAN)));
  EXPECT_TRUE(std::isfinite(inverse_normal_cdf(std::numeric_limits<double>::denorm_min())));
}

}  // namespace
}  // namespace rae
