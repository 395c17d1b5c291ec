// Diffusion coefficients D(t) of the stochastic samplers dx = (v - D score) dt + sqrt(2 D) dW, run
// backwards in time.
//
// Source: SiT (arXiv 2401.08740); the forms and their names are those of the official
// `transport/path.py`.
#pragma once

#include <numbers>
#include <string_view>

#include "rae/core/math.hpp"
#include "rae/diffusion/path.hpp"

namespace rae {

/// D(t) for a magnitude `norm`. The official sampler fails with the first two forms: with
/// `constant` it calls the square root of tensors on a number, and `sbdm` is negative on the linear
/// and GVP paths, see `PathFormulas`. Here both have their intended values.
enum class DiffusionForm {
  constant,              ///< norm
  sbdm,                  ///< norm (sigma sigma' - sigma^2 alpha' / alpha), that of the forward
                         ///< diffusion of the path; infinite at t = 1
  sigma,                 ///< norm sigma(t)
  linear,                ///< norm t
  decreasing,            ///< (norm cos(pi (1 - t)) + 1)^2 / 4
  increasing_decreasing  ///< norm sin(pi (1 - t))^2
};

/// Lower-case name, with a hyphen as in the official code.
constexpr std::string_view name_of(DiffusionForm form) noexcept {
  constexpr std::string_view kNames[] = {"constant", "sbdm",       "sigma",
                                         "linear",   "decreasing", "increasing-decreasing"};
  return kNames[static_cast<std::size_t>(form)];
}

/// Inverse of `name_of`; the official spellings "SBDM" and "inccreasing-decreasing" are accepted,
/// too. Throws ArgumentError.
inline DiffusionForm parse_diffusion_form(std::string_view name) {
  for (const DiffusionForm f :
       {DiffusionForm::constant, DiffusionForm::sbdm, DiffusionForm::sigma, DiffusionForm::linear,
        DiffusionForm::decreasing, DiffusionForm::increasing_decreasing})
    if (name == name_of(f)) return f;
  if (name == "SBDM") return DiffusionForm::sbdm;
  if (name == "inccreasing-decreasing") return DiffusionForm::increasing_decreasing;
  raise<ArgumentError>(
      "unknown diffusion form '", name,
      "': expected constant, sbdm, sigma, linear, decreasing or increasing-decreasing");
}

/// D(t) >= 0 at a time t in [0, 1], for norm >= 0. For `sbdm` on an `OfficialPath` it is the value
/// of the official code, which may be negative.
template <Path P>
[[nodiscard]] double diffusion_coefficient(const P& path, DiffusionForm form, double norm,
                                           double t) {
  const double sigma = path.sigma(t);
  switch (form) {
    case DiffusionForm::constant: return norm;
    case DiffusionForm::sbdm:
      return norm * (detail::kIsOfficial<P> ? 1.0 : -1.0) *
             detail::velocity_of_score(path, t).second;
    case DiffusionForm::linear: return norm * t;
    case DiffusionForm::decreasing: {
      const double root = norm * math::cos(std::numbers::pi * (1.0 - t)) + 1.0;
      return 0.25 * root * root;
    }
    case DiffusionForm::increasing_decreasing: {
      const double root = math::sin(std::numbers::pi * (1.0 - t));
      return norm * root * root;
    }
    default: return norm * sigma;
  }
}

}  // namespace rae
