// Stochastic sampling: Euler-Maruyama or Heun steps along a time grid, and a last step without
// noise.
//
// Source: SiT (arXiv 2401.08740); the order of operations is that of the official
// `transport/integrators.py`.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "rae/core/math.hpp"
#include "rae/core/random.hpp"
#include "rae/diffusion/diffusion_form.hpp"
#include "rae/diffusion/prediction.hpp"
#include "rae/diffusion/sampler.hpp"

namespace rae {

/// Methods of a stochastic step. `euler` is Euler-Maruyama; `heun` first adds the noise and then
/// takes a deterministic step of the trapezoidal rule.
enum class SdeSolver { euler, heun };

/// The step after the last stochastic one: none; along the drift (`mean`) or the velocity
/// (`euler`), both of length `last_step_size`; or to the expected data (x + sigma^2 score) / alpha
/// (`tweedie`).
enum class SdeLastStep { none, mean, euler, tweedie };

/// Lower-case name.
constexpr std::string_view name_of(SdeSolver solver) noexcept {
  return solver == SdeSolver::heun ? "heun" : "euler";
}

/// Lower-case name.
constexpr std::string_view name_of(SdeLastStep step) noexcept {
  constexpr std::string_view kNames[] = {"none", "mean", "euler", "tweedie"};
  return kNames[static_cast<std::size_t>(step)];
}

/// Inverse of `name_of`; a capital first letter is accepted, as the official code has "Euler" for
/// its default. Throws ArgumentError.
inline SdeSolver parse_sde_solver(std::string_view name) {
  if (name == "euler" || name == "Euler") return SdeSolver::euler;
  if (name == "heun" || name == "Heun") return SdeSolver::heun;
  raise<ArgumentError>("unknown stochastic solver '", name, "': expected euler or heun");
}

/// Inverse of `name_of`; the official "None", "Mean", "Euler" and "Tweedie" are accepted, too.
/// Throws ArgumentError.
inline SdeLastStep parse_sde_last_step(std::string_view name) {
  constexpr std::string_view kOfficial[] = {"None", "Mean", "Euler", "Tweedie"};
  for (const SdeLastStep s :
       {SdeLastStep::none, SdeLastStep::mean, SdeLastStep::euler, SdeLastStep::tweedie})
    if (name == name_of(s) || name == kOfficial[static_cast<std::size_t>(s)]) return s;
  raise<ArgumentError>("unknown last step '", name, "': expected none, mean, euler or tweedie");
}

/// Settings of `sample_sde`. Its official grid is official_time_grid(num_steps, shift, 0, 1 -
/// last_step_size), with last_step_size 0 for SdeLastStep::none.
struct SdeOptions {
  SdeSolver solver = SdeSolver::euler;        ///< method of each stochastic step
  DiffusionForm form = DiffusionForm::sigma;  ///< see diffusion_form.hpp
  double norm = 1.0;                          ///< magnitude of the diffusion, >= 0
  SdeLastStep last_step = SdeLastStep::mean;  ///< the step after the last point of the grid
  double last_step_size =
      0.04;  ///< in (0, 1): length of the last step in flow time before the shift
  /// The official code takes the last step as if the state were at t = last_step_size, although on
  /// a shifted grid it is at grid.back(). True takes it from grid.back() to t = 0.
  bool last_step_from_grid = false;
  /// The prediction of the network from which the velocity is computed: with the official formulas
  /// (see `PathFormulas`) the score depends on it.
  Prediction prediction = Prediction::velocity;
};

/// A callable that fills `noise`, of x's shape (B, ...), with standard normal numbers for a
/// stochastic step (1, 2, ...).
template <class N, class T>
concept NoiseSource = requires(N& source, index_t step, Tensor<T>& noise) {
  source(step, noise);
};

/// Noise that is independent of batch and threads: a sample b with n elements uses the numbers from
/// step * n on of Philox(seed, first_stream + b). The first n numbers are the initial noise of
/// `Generator`.
struct PhiloxNoise {
  std::uint64_t seed = 0;          ///< seed of all samples
  std::uint64_t first_stream = 0;  ///< stream of the first sample

  /// Fills noise (B, ...).
  template <Real T>
  void operator()(index_t step, Tensor<T>& noise) const {
    if (noise.rank() < 1 || noise.extent(0) < 1) return;
    const index_t n = noise.numel() / noise.extent(0);
    T* out = noise.data();
    parallel_for(noise.extent(0), index_t{1}, [&](index_t b) {
      const Philox random(seed, first_stream + static_cast<std::uint64_t>(b));
      const auto first = static_cast<std::uint64_t>(step) * static_cast<std::uint64_t>(n);
      random.fill_normal(std::span(out + b * n, static_cast<std::size_t>(n)), first);
    });
  }
};

/// Noise from a tensor (steps, B, ...).
template <Real T>
struct GivenNoise {
  Tensor<T> values;  ///< (steps, B, ...)

  /// Fills noise (B, ...) with that of the step. Throws ShapeError if `values` has none for this
  /// step, or of another shape.
  void operator()(index_t step, Tensor<T>& noise) const {
    bool fits = values.rank() == noise.rank() + 1 && step >= 1 && step <= values.extent(0);
    for (int i = 0; fits && i < noise.rank(); ++i) fits = values.extent(i + 1) == noise.extent(i);
    if (!fits)
      raise<ShapeError>("GivenNoise: step ", step, " of shape ", noise.shape(),
                        " is not in a tensor of shape ", values.shape());
    copy_elements(values.data() + (step - 1) * noise.numel(), noise.numel(), noise.data());
  }
};

namespace detail {

/// drift = v - D score as first * x + second * v. Throws ArgumentError if it is infinite or D < 0.
template <Path P>
Factors sde_drift(const P& path, const SdeOptions& how, double t) {
  const double d = diffusion_coefficient(path, how.form, how.norm, t);
  if (d < 0.0)
    raise<ArgumentError>(
        "sample_sde: the form '", name_of(how.form),
        "' is negative with the official formulas at t = ", t,
        "; the official sampler returns NaN there; choose the exact formulas or another form");
  const Factors score = score_factors(path, how.prediction, t);
  const Factors drift{-d * score.first, 1.0 - d * score.second};
  if (!math::is_finite(drift.first) || !math::is_finite(drift.second))
    raise<ArgumentError>("sample_sde: the drift of the form '", name_of(how.form),
                         "' is infinite at t = ", t,
                         "; keep the grid away from that end of the path");
  return drift;
}

/// The last step from time t, of a given length, as first * x + second * v.
template <Path P>
Factors sde_last_step(const P& path, const SdeOptions& how, double t, double length) {
  if (how.last_step == SdeLastStep::euler) return {1.0, -length};
  if (how.last_step == SdeLastStep::mean) {
    const Factors drift = sde_drift(path, how, t);
    return {1.0 - length * drift.first, -length * drift.second};
  }
  const Factors score = score_factors(path, how.prediction, t);
  const double alpha = path.alpha(t), weight = path.sigma(t) * path.sigma(t) / alpha;
  return {1.0 / alpha + weight * score.first, weight * score.second};
}

/// Throws ArgumentError for options out of range or a grid on which the drift is infinite, before
/// anything is evaluated.
template <Real T, Path P>
void require_sde(const P& path, const SdeOptions& how, std::span<const T> grid) {
  if (!(how.norm >= 0.0 && math::is_finite(how.norm)))
    raise<ArgumentError>("sample_sde: expected a finite norm >= 0, got ", how.norm);
  if (how.last_step != SdeLastStep::none && !(how.last_step_size > 0.0 && how.last_step_size < 1.0))
    raise<ArgumentError>("sample_sde: expected last_step_size in (0, 1), got ", how.last_step_size);
  if (!(grid.front() <= T(1) && grid.back() >= T(0) && grid.front() > grid.back()))
    raise<ArgumentError>("sample_sde: expected a grid from noise to data, 1 >= t >= 0, got ",
                         grid.front(), " to ", grid.back());
  const std::size_t evaluated = grid.size() - (how.solver == SdeSolver::heun ? 0 : 1);
  for (std::size_t i = 0; i < evaluated; ++i)
    (void)sde_drift(path, how, static_cast<double>(grid[i]));
  if (how.last_step != SdeLastStep::none && how.last_step_from_grid && grid.back() == T(0))
    raise<ArgumentError>(
        "sample_sde: on a grid that ends at 0 the last step has no length; choose "
        "SdeLastStep::none");
}

}  // namespace detail

/// Integrates from the noise x (B, ...) at grid[0] to data by grid.size() - 1 stochastic steps and
/// the last step, and returns the data (B, ...). `velocity` is that of the deterministic sampler,
/// including guidance; `noise` is a NoiseSource such as PhiloxNoise. `x` is updated in place.
/// `on_step` is called with a BasicStepInfo<T> after each step (the last step ends at t = 0), whose
/// denoised estimate is that of `path`; it returns false to stop. A step of `heun` begins after its
/// noise was added.
///
/// Throws ArgumentError for a grid that does not descend within [0, 1], options out of range, or a
/// form whose drift is infinite on the grid; ShapeError if x is empty or a velocity has another
/// shape than x; NumericError with the number of the step if the state is not finite; Cancelled if
/// `on_step` returns false.
template <Real T, class V, class N, Path P = LinearPath, class OnStep = detail::NoCallback>
requires Velocity<V, T> && NoiseSource<N, T>
[[nodiscard]] Tensor<T> sample_sde(V&& velocity, Tensor<T> x,
                                   std::span<const std::type_identity_t<T>> grid, N&& noise,
                                   const SdeOptions& how = {}, OnStep on_step = {},
                                   const P& path = {}) {
  detail::require_initial_value(x, grid);
  detail::require_sde(path, how, grid);
  const index_t n = x.numel(), stochastic = static_cast<index_t>(grid.size()) - 1;
  const index_t steps = stochastic + (how.last_step == SdeLastStep::none ? 0 : 1);
  Tensor<T> random(x.shape());  // x's shape
  Tensor<T> stage;              // x's shape
  if (how.solver == SdeSolver::heun) stage = Tensor<T>(x.shape());
  const bool watched = detail::has_callback(on_step);
  for (index_t step = 1; step <= stochastic; ++step) {
    const T now = grid[static_cast<std::size_t>(step - 1)],
            next = grid[static_cast<std::size_t>(step)];
    const double t = static_cast<double>(now), dt = static_cast<double>(now - next);
    const double spread = math::sqrt(2.0 * diffusion_coefficient(path, how.form, how.norm, t) * dt);
    const detail::Factors drift = detail::sde_drift(path, how, t);
    BasicStepStart<T> start;
    noise(step, random);
    const T* draw = std::as_const(random).data();
    if (how.solver == SdeSolver::euler) {
      const Tensor<T> v = detail::evaluate(velocity, std::as_const(x), now);  // x's shape
      if (watched) start = {now, x, v};
      T* out = x.data();
      detail::linear_combination<T, 3>(out, n, {1.0 - dt * drift.first, -dt * drift.second, spread},
                                       {out, v.data(), draw});
    } else {
      const detail::Factors then = detail::sde_drift(path, how, static_cast<double>(next));
      T* out = x.data();
      detail::linear_combination<T, 2>(out, n, {1.0, spread}, {out, draw});
      const Tensor<T> v = detail::evaluate(velocity, std::as_const(x), now);  // x's shape
      if (watched) start = {now, x, v};
      detail::linear_combination<T, 2>(stage.data(), n,
                                       {1.0 - dt * drift.first, -dt * drift.second},
                                       {std::as_const(x).data(), v.data()});
      const Tensor<T> w = detail::evaluate(velocity, std::as_const(stage), next);  // x's shape
      out = x.data();
      detail::linear_combination<T, 4>(out, n,
                                       {1.0 - 0.5 * dt * drift.first, -0.5 * dt * drift.second,
                                        -0.5 * dt * then.first, -0.5 * dt * then.second},
                                       {out, v.data(), std::as_const(stage).data(), w.data()});
    }
    detail::finish_step(on_step,
                        BasicStepInfo<T>{step, steps, next, x, start,
                                         detail::data_factors(path, how.prediction, t)},
                        now, x);
  }
  if (how.last_step == SdeLastStep::none) return x;
  // The official time is 1 - t1 with t1 = 1 - last_step_size.
  const T from =
      how.last_step_from_grid ? grid.back() : static_cast<T>(1.0 - (1.0 - how.last_step_size));
  const double length = how.last_step_from_grid ? static_cast<double>(from) : how.last_step_size;
  const detail::Factors last = detail::sde_last_step(path, how, static_cast<double>(from), length);
  const Tensor<T> v = detail::evaluate(velocity, std::as_const(x), from);  // x's shape
  BasicStepStart<T> start;
  if (watched) start = {from, x, v};
  T* out = x.data();
  detail::linear_combination<T, 2>(out, n, {last.first, last.second}, {out, v.data()});
  detail::finish_step(
      on_step,
      BasicStepInfo<T>{steps, steps, T(0), x, start,
                       detail::data_factors(path, how.prediction, static_cast<double>(from))},
      from, x);
  return x;
}

}  // namespace rae
