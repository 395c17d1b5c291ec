// Fixed-step methods: explicit Runge-Kutta by tables of coefficients, and Adams and Bashforth's multistep method.
//
// Source: the paper samples with Euler steps; names and coefficients are those of torchdiffeq's fixed-step solvers, which the
// official sampler calls. Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations I", sections II.1 and III.1.
#pragma once

#include <array>
#include <string_view>

#include "rae/core/shape.hpp"

namespace rae {

/// Fixed-step methods. `heun` is the trapezoidal rule ("heun2"), `rk4` Kutta's 3/8 rule. `explicit_adams` extrapolates from up to eleven
/// velocities at the beginnings of steps as torchdiffeq does: two steps of rk4, then orders 3, 4, ..., 11 with the coefficients of equal
/// steps, whatever the grid. So it keeps its order on grids without a time shift only, and it is stable for very short steps only.
enum class Solver { euler, midpoint, heun, heun3, rk4, explicit_adams };

/// Lower-case name.
constexpr std::string_view name_of(Solver solver) noexcept {
  constexpr std::string_view kNames[] = {"euler", "midpoint", "heun", "heun3", "rk4", "explicit_adams"};
  return kNames[static_cast<std::size_t>(solver)];
}

/// Inverse of `name_of`; "heun2" is accepted for `heun`. Throws ArgumentError.
inline Solver parse_solver(std::string_view name) {
  for (const Solver s : {Solver::euler, Solver::midpoint, Solver::heun, Solver::heun3, Solver::rk4, Solver::explicit_adams})
    if (name == name_of(s)) return s;
  if (name == "heun2") return Solver::heun;
  raise<ArgumentError>("unknown solver '", name, "': expected euler, midpoint, heun, heun3, rk4 or explicit_adams");
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

/// Of explicit_adams, the table of its first two steps.
constexpr Tableau tableau_of(Solver solver) noexcept {
  constexpr double kThird = 1.0 / 3.0;
  switch (solver) {
    case Solver::midpoint: return {2, {0, 0.5}, {{{}, {0.5}}}, {0, 1}};
    case Solver::heun: return {2, {0, 1}, {{{}, {1}}}, {0.5, 0.5}};
    case Solver::heun3: return {3, {0, kThird, 2 * kThird}, {{{}, {kThird}, {0, 2 * kThird}}}, {0.25, 0, 0.75}};
    case Solver::explicit_adams:
    case Solver::rk4: return {4, {0, kThird, 2 * kThird, 1}, {{{}, {kThird}, {-kThird, 1}, {1, -1, 1}}}, {0.125, 0.375, 0.375, 0.125}};
    default: return {1, {0}, {}, {1}};
  }
}

/// Velocities that explicit_adams looks at, at least and at most.
inline constexpr std::size_t kMinAdamsOrder = 3, kMaxAdamsOrder = 11;

/// x += dt sum_j b[j] v_j, where v_0 is the velocity at the beginning of the step and v_j that of j steps before: the integral over
/// [0, 1] of the polynomial through the values at 0, -1, ..., 1 - order, by its backward differences.
constexpr std::array<double, kMaxAdamsOrder> adams_weights(std::size_t order) noexcept {
  std::array<double, kMaxAdamsOrder> gamma{}, b{};
  for (std::size_t m = 0; m < order; ++m) {
    gamma[m] = 1.0;
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

/// Evaluations of the velocity in one step; of explicit_adams, in each after its first two.
constexpr index_t evaluations_per_step(Solver solver) noexcept {
  return solver == Solver::explicit_adams ? 1 : static_cast<index_t>(detail::tableau_of(solver).stages);
}

}  // namespace rae
