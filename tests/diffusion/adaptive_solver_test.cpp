#include "rae/diffusion/adaptive_solver.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace rae {
namespace {

constexpr AdaptiveSolver kAllSolvers[] = {AdaptiveSolver::dopri5, AdaptiveSolver::dopri8,
                                          AdaptiveSolver::bosh3, AdaptiveSolver::fehlberg2,
                                          AdaptiveSolver::adaptive_heun};

TEST(AdaptiveSolverTest, CoefficientsSatisfyTheQuadratureConditions) {
  for (const AdaptiveSolver solver : kAllSolvers) {
    const detail::AdaptiveTableau& m = detail::adaptive_tableau_of(solver);
    const auto moment = [&](const detail::AdaptiveTableau::Row& weights, int power) {
      double sum = 0;
      for (std::size_t i = 0; i < m.stages; ++i) sum += weights[i] * std::pow(m.c[i], power);
      return sum;
    };
    for (std::size_t i = 0; i < detail::kMaxAdaptiveStages; ++i) {
      double row = 0;
      for (std::size_t j = 0; j < detail::kMaxAdaptiveStages; ++j) {
        EXPECT_TRUE(j < i || m.a[i][j] == 0.0) << name_of(solver) << " is not explicit";
        row += m.a[i][j];
      }
      // The published coefficients of dopri8 are fractions that round the exact ones to 18 digits.
      EXPECT_NEAR(row, m.c[i], 2e-15 * std::max(1.0, std::abs(m.a[i][8])))
          << name_of(solver) << " row " << i;
    }
    for (int power = 0; power < m.order; ++power)
      EXPECT_NEAR(moment(m.b, power), 1.0 / (power + 1), 1e-14) << name_of(solver) << power;
    // The order of the embedded method is lower by one.
    for (int power = 0; power < m.order - 1; ++power)
      EXPECT_NEAR(moment(m.error, power), 0.0, 1e-14) << name_of(solver) << power;
    EXPECT_GT(std::abs(moment(m.error, m.order - 1)) + std::abs(m.error[0]), 1e-4)
        << name_of(solver);
    // The midpoint of the Dormand-Prince pairs is as accurate as the interpolating polynomial.
    for (int power = 0; power < (m.order >= 5 ? 4 : 1); ++power)
      EXPECT_NEAR(moment(m.middle, power), std::pow(0.5, power + 1) / (power + 1), 1e-14)
          << name_of(solver) << power;
  }
}

TEST(AdaptiveSolverTest, TheLastStageOfMostPairsIsTheFirstOfTheNextStep) {
  for (const AdaptiveSolver solver : kAllSolvers)
    EXPECT_EQ(detail::adaptive_tableau_of(solver).ends_in_last_stage(),
              solver != AdaptiveSolver::fehlberg2 && solver != AdaptiveSolver::adaptive_heun)
        << name_of(solver);
}

}  // namespace
}  // namespace rae
