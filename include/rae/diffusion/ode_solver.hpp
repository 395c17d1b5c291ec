// Any method of the deterministic sampler, with fixed steps or with step control, as named by
// configurations and command lines.
//
// Source: the official sampler, which takes the names of its methods from torchdiffeq.
#pragma once

#include <string_view>

#include "rae/diffusion/adaptive_solver.hpp"
#include "rae/diffusion/solver.hpp"

namespace rae {

/// A `Solver` or an `AdaptiveSolver`.
class OdeSolver {
 public:
  /// A method with fixed steps.
  constexpr OdeSolver(Solver solver = Solver::euler) noexcept : fixed_(solver) {}
  /// A method with step control.
  constexpr OdeSolver(AdaptiveSolver solver) noexcept : is_adaptive_(true), adaptive_(solver) {}

  /// True for a method with step control.
  [[nodiscard]] constexpr bool is_adaptive() const noexcept { return is_adaptive_; }
  /// The method with fixed steps; euler for an adaptive one.
  [[nodiscard]] constexpr Solver fixed() const noexcept { return fixed_; }
  /// The method with step control; dopri5 for one with fixed steps.
  [[nodiscard]] constexpr AdaptiveSolver adaptive() const noexcept { return adaptive_; }

  /// True for the same method.
  friend constexpr bool operator==(const OdeSolver&, const OdeSolver&) noexcept = default;

 private:
  bool is_adaptive_ = false;
  Solver fixed_ = Solver::euler;
  AdaptiveSolver adaptive_ = AdaptiveSolver::dopri5;
};

/// Names of all methods, for error messages and help.
inline constexpr std::string_view kOdeSolverNames =
    "euler, midpoint, heun, heun3, rk4, explicit_adams, implicit_adams, dpmpp_2m, dpmpp_3m, unipc, "
    "ab2, dopri5, dopri8, bosh3, fehlberg2 or adaptive_heun";

/// Lower-case name.
constexpr std::string_view name_of(const OdeSolver& solver) noexcept {
  return solver.is_adaptive() ? name_of(solver.adaptive()) : name_of(solver.fixed());
}

/// Inverse of `name_of`; "heun2" is accepted for `heun`, "fixed_adams" for `implicit_adams`. Throws
/// ArgumentError.
inline OdeSolver parse_ode_solver(std::string_view name) {
  for (const AdaptiveSolver s :
       {AdaptiveSolver::dopri5, AdaptiveSolver::dopri8, AdaptiveSolver::bosh3,
        AdaptiveSolver::fehlberg2, AdaptiveSolver::adaptive_heun})
    if (name == name_of(s)) return s;
  if (name == "scipy_solver") return parse_solver(name);  // its error gives the reason
  try {
    return parse_solver(name);
  } catch (const ArgumentError&) {
    raise<ArgumentError>("unknown solver '", name, "': expected ", kOdeSolverNames);
  }
}

}  // namespace rae
