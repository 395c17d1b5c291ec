// Fixed-step methods: explicit Runge-Kutta by tables of coefficients, and the multistep methods of
// Adams.
//
// Source: the paper samples with Euler steps; names and coefficients are those of torchdiffeq's
// fixed-step solvers, which the official sampler calls. Hairer, Norsett, Wanner, "Solving Ordinary
// Differential Equations I", sections II.1 and III.1.
#pragma once

#include <array>
#include <string_view>

#include "rae/core/shape.hpp"

namespace rae {

/// Fixed-step methods. `heun` is the trapezoidal rule ("heun2"), `rk4` Kutta's 3/8 rule.
/// `explicit_adams` extrapolates from up to eleven velocities at the beginnings of steps as
/// torchdiffeq does: two steps of rk4, then orders 3, 4, ..., 11 with the coefficients of equal
/// steps, whatever the grid. So it keeps its order on grids without a time shift only, and it is
/// stable for very short steps only. `implicit_adams` corrects the change of each such step by the
/// velocity at its end, up to four times (see `CorrectorControl`).
enum class Solver { euler, midpoint, heun, heun3, rk4, explicit_adams, implicit_adams };

/// When the corrector of implicit_adams has done enough. The defaults are those of the official
/// sampler.
struct CorrectorControl {
  double atol = 1e-6;  ///< enough when no element of the step's change still moves by more than
                       ///< atol + rtol |change|
  double rtol = 1e-3;  ///< see atol
  /// Most velocities at the end of a step. When they are not enough the step is taken nevertheless,
  /// and the oldest velocity forgotten.
  index_t max_iterations = 4;
};

/// Lower-case name.
constexpr std::string_view name_of(Solver solver) noexcept {
  constexpr std::string_view kNames[] = {"euler", "midpoint",       "heun",          "heun3",
                                         "rk4",   "explicit_adams", "implicit_adams"};
  return kNames[static_cast<std::size_t>(solver)];
}

/// Inverse of `name_of`; "heun2" is accepted for `heun` and "fixed_adams" for `implicit_adams`.
/// Throws ArgumentError.
inline Solver parse_solver(std::string_view name) {
  for (const Solver s : {Solver::euler, Solver::midpoint, Solver::heun, Solver::heun3, Solver::rk4,
                         Solver::explicit_adams, Solver::implicit_adams})
    if (name == name_of(s)) return s;
  if (name == "heun2") return Solver::heun;
  if (name == "fixed_adams") return Solver::implicit_adams;
  if (name == "scipy_solver")
    raise<ArgumentError>(
        "solver 'scipy_solver' hands the equation to SciPy's LSODA, which is not offered here: "
        "take dopri5 or dopri8");
  raise<ArgumentError>(
      "unknown solver '", name,
      "': expected euler, midpoint, heun, heun3, rk4, explicit_adams or implicit_adams");
}

namespace detail {

inline constexpr std::size_t kMaxStages = 4;

/// k_i = v(x + dt sum_j a[i][j] k_j, t + c[i] dt);  x += dt sum_i b[i] k_i
struct Tableau {
  std::size_t stages;
  std::array<double, kMaxStages> c;
  std::array<std::array<double, kMaxStages>, kMaxStages> a;
  std::array<double, kMaxStages> b;
};

/// True for the multistep methods.
constexpr bool is_adams(Solver solver) noexcept {
  return solver == Solver::explicit_adams || solver == Solver::implicit_adams;
}

/// Of a multistep method, the table of its first two steps.
constexpr Tableau tableau_of(Solver solver) noexcept {
  constexpr double kThird = 1.0 / 3.0;
  switch (solver) {
    case Solver::midpoint: return {2, {0, 0.5}, {{{}, {0.5}}}, {0, 1}};
    case Solver::heun: return {2, {0, 1}, {{{}, {1}}}, {0.5, 0.5}};
    case Solver::heun3:
      return {3, {0, kThird, 2 * kThird}, {{{}, {kThird}, {0, 2 * kThird}}}, {0.25, 0, 0.75}};
    case Solver::explicit_adams:
    case Solver::implicit_adams:
    case Solver::rk4:
      return {4,
              {0, kThird, 2 * kThird, 1},
              {{{}, {kThird}, {-kThird, 1}, {1, -1, 1}}},
              {0.125, 0.375, 0.375, 0.125}};
    default: return {1, {0}, {}, {1}};
  }
}

/// Velocities at beginnings of steps that the methods of Adams look at, at least and at most.
inline constexpr std::size_t kMinAdamsOrder = 3, kMaxAdamsOrder = 11;

/// Weights of the velocities in a step of Adams, the newest first.
using AdamsWeights = std::array<double, kMaxAdamsOrder + 1>;

/// The integral over [0, 1] of the polynomial through `points` values, by its backward differences.
/// Explicit: the values are at 0, -1, ..., 1 - points (Adams and Bashforth); implicit: at 1, 0,
/// ..., 2 - points (Adams and Moulton).
constexpr AdamsWeights adams_weights(std::size_t points, bool implicit = false) noexcept {
  AdamsWeights gamma{}, b{};
  for (std::size_t m = 0; m < points; ++m) {
    gamma[m] = implicit && m > 0 ? 0.0 : 1.0;
    for (std::size_t k = 1; k <= m; ++k) gamma[m] -= gamma[m - k] / static_cast<double>(k + 1);
    double binomial = 1.0;  // m over j, with the sign of (-1)^j
    for (std::size_t j = 0; j <= m; ++j) {
      b[j] += gamma[m] * binomial;
      binomial *= -static_cast<double>(m - j) / static_cast<double>(j + 1);
    }
  }
  return b;
}

}  // namespace detail

/// Evaluations of the velocity in one step; of a method of Adams, in each after its first two, and
/// of implicit_adams at least.
constexpr index_t evaluations_per_step(Solver solver) noexcept {
  if (detail::is_adams(solver)) return solver == Solver::implicit_adams ? 2 : 1;
  return static_cast<index_t>(detail::tableau_of(solver).stages);
}

}  // namespace rae
