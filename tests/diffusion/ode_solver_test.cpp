#include "rae/diffusion/ode_solver.hpp"

#include <gtest/gtest.h>

#include <string>

namespace rae {
namespace {

TEST(OdeSolverTest, EveryNameIsParsed) {
  constexpr const char* kNames[] = {
      "euler",          "midpoint", "heun",      "heun3",        "rk4",   "explicit_adams",
      "implicit_adams", "dopri5",   "dpmpp_2m",  "dpmpp_3m",     "unipc", "ab2",
      "dopri8",         "bosh3",    "fehlberg2", "adaptive_heun"};
  for (const std::string name : kNames) {
    EXPECT_EQ(name_of(parse_ode_solver(name)), name);
    EXPECT_NE(kOdeSolverNames.find(name), std::string_view::npos) << name;
  }
  EXPECT_EQ(parse_ode_solver("heun2"), Solver::heun);
  EXPECT_THROW((void)parse_ode_solver("scipy_solver"), ArgumentError);
}

TEST(OdeSolverTest, HoldsEitherKindOfSolver) {
  const OdeSolver fixed = Solver::rk4, adaptive = AdaptiveSolver::bosh3;
  EXPECT_FALSE(fixed.is_adaptive());
  EXPECT_EQ(fixed.fixed(), Solver::rk4);
  EXPECT_TRUE(adaptive.is_adaptive());
  EXPECT_EQ(adaptive.adaptive(), AdaptiveSolver::bosh3);
  EXPECT_NE(fixed, adaptive);
  EXPECT_EQ(OdeSolver(), Solver::euler);
}

}  // namespace
}  // namespace rae
