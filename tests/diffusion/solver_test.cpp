#include "rae/diffusion/solver.hpp"

#include <cmath>

#include <gtest/gtest.h>

namespace rae {
namespace {

constexpr Solver kSolvers[] = {Solver::euler, Solver::midpoint, Solver::heun, Solver::heun3,
                               Solver::rk4};

TEST(SolverTest, CoefficientsSatisfyTheOrderConditions) {
  for (const Solver solver : kSolvers) {
    const detail::Tableau m = detail::tableau_of(solver);
    const int order = solver == Solver::euler   ? 1
                      : solver == Solver::heun3 ? 3
                      : solver == Solver::rk4   ? 4
                                                : 2;
    double b = 0, bc = 0, bcc = 0, bac = 0, bccc = 0, bcac = 0, bacc = 0, baac = 0;
    for (std::size_t i = 0; i < m.stages; ++i) {
      double row = 0, ac = 0, acc = 0, aac = 0;
      for (std::size_t j = 0; j < m.stages; ++j) {
        EXPECT_TRUE(j < i || m.a[i][j] == 0.0) << name_of(solver) << " is not explicit";
        row += m.a[i][j];
        ac += m.a[i][j] * m.c[j];
        acc += m.a[i][j] * m.c[j] * m.c[j];
        for (std::size_t l = 0; l < m.stages; ++l) aac += m.a[i][j] * m.a[j][l] * m.c[l];
      }
      EXPECT_NEAR(row, m.c[i], 1e-15);
      b += m.b[i];
      bc += m.b[i] * m.c[i];
      bcc += m.b[i] * m.c[i] * m.c[i];
      bac += m.b[i] * ac;
      bccc += m.b[i] * m.c[i] * m.c[i] * m.c[i];
      bcac += m.b[i] * m.c[i] * ac;
      bacc += m.b[i] * acc;
      baac += m.b[i] * aac;
    }
    EXPECT_NEAR(b, 1.0, 1e-15);
    if (order >= 2) {
      EXPECT_NEAR(bc, 1.0 / 2, 1e-15) << name_of(solver);
    }
    if (order >= 3) {
      EXPECT_NEAR(bcc, 1.0 / 3, 1e-15) << name_of(solver);
      EXPECT_NEAR(bac, 1.0 / 6, 1e-15) << name_of(solver);
    }
    if (order >= 4) {
      EXPECT_NEAR(bccc, 1.0 / 4, 1e-15);
      EXPECT_NEAR(bcac, 1.0 / 8, 1e-15);
      EXPECT_NEAR(bacc, 1.0 / 12, 1e-15);
      EXPECT_NEAR(baac, 1.0 / 24, 1e-15);
    }
  }
}

TEST(SolverTest, EvaluationsPerStepMatchTheReference) {
  EXPECT_EQ(evaluations_per_step(Solver::euler), 1);
  EXPECT_EQ(evaluations_per_step(Solver::midpoint), 2);
  EXPECT_EQ(evaluations_per_step(Solver::heun), 2);
  EXPECT_EQ(evaluations_per_step(Solver::heun3), 3);
  EXPECT_EQ(evaluations_per_step(Solver::rk4), 4);
  EXPECT_EQ(evaluations_per_step(Solver::explicit_adams), 1);
  EXPECT_EQ(evaluations_per_step(Solver::implicit_adams), 2);
}

TEST(SolverTest, AdamsWeightsAreThePublishedOnes) {
  bool implicit = false;
  const auto check = [&](std::size_t points, std::initializer_list<double> numerators,
                         double denominator) {
    const auto b = detail::adams_weights(points, implicit);
    std::size_t j = 0;
    for (const double n : numerators)
      EXPECT_NEAR(b[j++], n / denominator, 1e-12 * std::abs(n / denominator) + 1e-13)
          << points << ", " << j;
    for (; j < b.size(); ++j) EXPECT_EQ(b[j], 0.0);
  };
  check(3, {23, -16, 5}, 12);
  check(4, {55, -59, 37, -9}, 24);
  check(5, {1901, -2774, 2616, -1274, 251}, 720);
  check(11,
        {2132509567, -8271795124, 23591063805, -46113029016, 63716378958, -63176201472, 44857168434,
         -22329634920, 7417904451, -1479574348, 134211265},
        479001600);
  implicit = true;
  check(1, {1}, 1);
  check(2, {1, 1}, 2);
  check(4, {9, 19, -5, 1}, 24);
  check(5, {251, 646, -264, 106, -19}, 720);
  check(12,
        {262747265, 1374799219, -2092490673, 3828828885, -5519460582, 6043521486, -4963166514,
         3007739418, -1305971115, 384709327, -68928781, 5675265},
        958003200);
}

TEST(SolverTest, NamesAreParsed) {
  for (const Solver solver : kSolvers) EXPECT_EQ(parse_solver(name_of(solver)), solver);
  for (const Solver solver : {Solver::explicit_adams, Solver::implicit_adams, Solver::dpmpp_2m,
                              Solver::dpmpp_3m, Solver::unipc, Solver::ab2})
    EXPECT_EQ(parse_solver(name_of(solver)), solver);
  EXPECT_EQ(parse_solver("explicit_adams"), Solver::explicit_adams);
  EXPECT_EQ(parse_solver("implicit_adams"), Solver::implicit_adams);
  EXPECT_EQ(parse_solver("fixed_adams"), Solver::implicit_adams);
  EXPECT_EQ(parse_solver("heun2"), Solver::heun);
  EXPECT_THROW((void)parse_solver("dopri5"), ArgumentError);
  EXPECT_THROW((void)parse_solver("scipy_solver"), ArgumentError);
  EXPECT_THROW((void)parse_solver(""), ArgumentError);
}

}  // namespace
}  // namespace rae
