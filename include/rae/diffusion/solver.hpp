// Explicit Runge-Kutta methods by their tables of coefficients.
//
// Source: the paper samples with Euler steps; names and coefficients are those of torchdiffeq's fixed-step solvers, which the
// official sampler calls. Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations I", section II.1.
#pragma once

#include <array>
#include <string_view>

#include "rae/core/shape.hpp"

namespace rae {

/// Fixed-step methods. `heun` is the trapezoidal rule ("heun2"), `rk4` Kutta's 3/8 rule.
enum class Solver { euler, midpoint, heun, heun3, rk4 };

/// Lower-case name.
constexpr std::string_view name_of(Solver solver) noexcept {
  constexpr std::string_view kNames[] = {"euler", "midpoint", "heun", "heun3", "rk4"};
  return kNames[static_cast<std::size_t>(solver)];
}

/// Inverse of `name_of`; "heun2" is accepted for `heun`. Throws ArgumentError.
inline Solver parse_solver(std::string_view name) {
  for (const Solver s : {Solver::euler, Solver::midpoint, Solver::heun, Solver::heun3, Solver::rk4})
    if (name == name_of(s)) return s;
  if (name == "heun2") return Solver::heun;
  raise<ArgumentError>("unknown solver '", name, "': expected euler, midpoint, heun, heun3 or rk4");
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

constexpr Tableau tableau_of(Solver solver) noexcept {
  constexpr double kThird = 1.0 / 3.0;
  switch (solver) {
    case Solver::midpoint: return {2, {0, 0.5}, {{{}, {0.5}}}, {0, 1}};
    case Solver::heun: return {2, {0, 1}, {{{}, {1}}}, {0.5, 0.5}};
    case Solver::heun3: return {3, {0, kThird, 2 * kThird}, {{{}, {kThird}, {0, 2 * kThird}}}, {0.25, 0, 0.75}};
    case Solver::rk4: return {4, {0, kThird, 2 * kThird, 1}, {{{}, {kThird}, {-kThird, 1}, {1, -1, 1}}}, {0.125, 0.375, 0.375, 0.125}};
    default: return {1, {0}, {}, {1}};
  }
}

}  // namespace detail

/// Evaluations of the velocity in one step.
constexpr index_t evaluations_per_step(Solver solver) noexcept { return static_cast<index_t>(detail::tableau_of(solver).stages); }

}  // namespace rae
