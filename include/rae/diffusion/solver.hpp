// Fixed-step methods: explicit Runge-Kutta methods, the multistep methods of Adams, and multistep
// methods for few steps.
//
// Source: the paper samples with Euler steps; names and coefficients up to implicit_adams are those
// of torchdiffeq's fixed-step solvers, which the official sampler calls; the names of the others
// are those of diffusers. For their formulas see multistep.hpp. Hairer, Norsett, Wanner, "Solving
// Ordinary Differential Equations I", sections II.1 and III.1.
#pragma once

#include <array>
#include <string_view>

#include "rae/core/shape.hpp"

namespace rae {

/// Fixed-step methods. `heun` is the trapezoidal rule ("heun2"), `rk4` Kutta's 3/8 rule.
/// `explicit_adams` is that of torchdiffeq (Adams-Bashforth): two steps of rk4, then orders 3, 4,
/// ..., 11 from the velocities at the beginnings of the last steps. It always uses the coefficients
/// of equal steps, so it reaches its order only on grids without a time shift, and it is stable
/// only for very short steps. `implicit_adams` (Adams-Moulton) corrects each of these steps with
/// the velocity at its end, up to four times (see `CorrectorControl`).
///
/// The others are made for few steps of any lengths, from noise to data, with one evaluation per
/// step. `dpmpp_2m` and `dpmpp_3m` (DPM-Solver++) use the last two or three denoised estimates,
/// `unipc` (UniPC of order 2) those of dpmpp_2m, and corrects each step when the estimate at its
/// end is known. `ab2` is the method of Adams-Bashforth with two velocities.
enum class Solver {
  euler,
  midpoint,
  heun,
  heun3,
  rk4,
  explicit_adams,
  implicit_adams,
  dpmpp_2m,
  dpmpp_3m,
  unipc,
  ab2
};

/// Stopping rule of the corrector of implicit_adams. The defaults are those of the official
/// sampler.
struct CorrectorControl {
  double atol = 1e-6;  ///< converged if an iteration changes no element of the step's change by
                       ///< atol + rtol |change| or more
  double rtol = 1e-3;  ///< see atol
  /// Largest number of velocities evaluated at the end of a step. If the iteration does not
  /// converge, the step is taken nevertheless, and the oldest stored velocity is dropped, as in
  /// torchdiffeq.
  index_t max_iterations = 4;
};

/// Lower-case name.
constexpr std::string_view name_of(Solver solver) noexcept {
  constexpr std::string_view kNames[] = {
      "euler",          "midpoint", "heun",     "heun3", "rk4", "explicit_adams",
      "implicit_adams", "dpmpp_2m", "dpmpp_3m", "unipc", "ab2"};
  return kNames[static_cast<std::size_t>(solver)];
}

/// Inverse of `name_of`; "heun2" is accepted for `heun` and "fixed_adams" for `implicit_adams`.
/// Throws ArgumentError.
inline Solver parse_solver(std::string_view name) {
  for (const Solver s : {Solver::euler, Solver::midpoint, Solver::heun, Solver::heun3, Solver::rk4,
                         Solver::explicit_adams, Solver::implicit_adams, Solver::dpmpp_2m,
                         Solver::dpmpp_3m, Solver::unipc, Solver::ab2})
    if (name == name_of(s)) return s;
  if (name == "heun2") return Solver::heun;
  if (name == "fixed_adams") return Solver::implicit_adams;
  if (name == "scipy_solver")
    raise<ArgumentError>(
        "solver 'scipy_solver' is LSODA of SciPy, which is not available: use dopri5 or dopri8");
  raise<ArgumentError>("unknown solver '", name,
                       "': expected euler, midpoint, heun, heun3, rk4, explicit_adams, "
                       "implicit_adams, dpmpp_2m, dpmpp_3m, unipc or ab2");
}

namespace detail {

inline constexpr std::size_t kMaxStages = 4;

/// Coefficients of a method: k_i = v(x + dt sum_j a[i][j] k_j, t + c[i] dt), x += dt sum_i b[i]
/// k_i.
struct Tableau {
  std::size_t stages;
  std::array<double, kMaxStages> c;
  std::array<std::array<double, kMaxStages>, kMaxStages> a;
  std::array<double, kMaxStages> b;
};

/// True for the multistep methods of Adams with weights for equal steps.
constexpr bool is_adams(Solver solver) noexcept {
  return solver == Solver::explicit_adams || solver == Solver::implicit_adams;
}

/// True for the multistep methods for few steps of any lengths.
constexpr bool is_multistep(Solver solver) noexcept { return solver >= Solver::dpmpp_2m; }

/// The coefficients of a method; for a method of Adams those of its first two steps, for other
/// multistep methods that of the first one.
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

/// Smallest and largest number of velocities that a step of an Adams method uses.
inline constexpr std::size_t kMinAdamsOrder = 3, kMaxAdamsOrder = 11;

/// Weights of the velocities in a step of an Adams method, the newest first.
using AdamsWeights = std::array<double, kMaxAdamsOrder + 1>;

/// Weights of the integral over [0, 1] of the polynomial through `points` values, from backward
/// differences. Explicit (Adams-Bashforth): the values are at 0, -1, ..., 1 - points; implicit
/// (Adams-Moulton): at 1, 0, ..., 2 - points.
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

/// Evaluations of the velocity per step; for the Adams methods, in each step after the first two
/// (for implicit_adams the smallest number).
constexpr index_t evaluations_per_step(Solver solver) noexcept {
  if (detail::is_adams(solver)) return solver == Solver::implicit_adams ? 2 : 1;
  return static_cast<index_t>(detail::tableau_of(solver).stages);
}

}  // namespace rae
