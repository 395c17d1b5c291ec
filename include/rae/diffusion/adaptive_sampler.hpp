// Sampling with step control: the error estimate determines the step lengths, and states at the
// points of the grid are interpolated.
//
// Source: torchdiffeq's adaptive solvers, which the official sampler offers. Hairer, Norsett,
// Wanner, "Solving Ordinary Differential Equations I", section II.4 (step control, first step).
#pragma once

#include <optional>
#include <vector>

#include "rae/core/math.hpp"
#include "rae/diffusion/adaptive_solver.hpp"
#include "rae/diffusion/sampler.hpp"

namespace rae {

/// How an adaptive sampler chooses its steps. The defaults are those of the official sampler.
struct StepControl {
  double atol = 1e-6;   ///< a step is accepted if the root mean square of
                        ///< error / (atol + rtol |x|) over the whole state is at most 1
  double rtol = 1e-3;   ///< see atol
  double safety = 0.9;  ///< factor on the estimated longest step within the tolerance
  double min_factor =
      0.2;  ///< smallest ratio of the length of a step to that of the rejected one before
  double max_factor = 10.0;    ///< largest ratio of the length of a step to that of the one before
  index_t max_steps = 100000;  ///< limit of attempted steps between two points of the grid
  double first_step = 0.0;     ///< length of the first attempted step; 0 estimates it from the
                               ///< velocity, which costs one more evaluation
  /// True shortens the last step to end at the last point of the grid. The official sampler steps
  /// past it and interpolates, so it may evaluate velocities at times below 0.
  bool stop_at_end = false;
};

namespace detail {

/// Throws ArgumentError for settings out of range.
inline void require_step_control(const StepControl& c) {
  if (!(c.atol >= 0.0 && c.rtol >= 0.0 && math::is_finite(c.atol) && math::is_finite(c.rtol) &&
        c.atol + c.rtol > 0.0))
    raise<ArgumentError>("sample: expected finite tolerances >= 0, one of them > 0, got atol ",
                         c.atol, " and rtol ", c.rtol);
  if (!(c.safety > 0.0 && c.safety <= 1.0 && c.min_factor > 0.0 && c.min_factor < 1.0 &&
        c.max_factor >= 1.0 && math::is_finite(c.max_factor)))
    raise<ArgumentError>("sample: expected 0 < safety <= 1, 0 < min_factor < 1 <= max_factor, got ",
                         c.safety, ", ", c.min_factor, ", ", c.max_factor);
  if (c.max_steps < 1) raise<ArgumentError>("sample: expected max_steps >= 1, got ", c.max_steps);
  if (!(c.first_step >= 0.0 && math::is_finite(c.first_step)))
    raise<ArgumentError>("sample: expected a finite first_step >= 0 (0 estimates it), got ",
                         c.first_step);
}

/// Root of the mean of square(i) over [0, n). The blocks of the sum do not depend on the number of
/// threads, so neither does the result.
template <class Square>
double root_mean(index_t n, Square square) {
  constexpr index_t kBlock = 4096;
  const index_t blocks = (n + kBlock - 1) / kBlock;
  std::vector<double> sums(static_cast<std::size_t>(blocks));
  parallel_for(blocks, index_t{4}, [&](index_t block) {
    double sum = 0.0;
    for (index_t i = block * kBlock; i < math::min(n, (block + 1) * kBlock); ++i) sum += square(i);
    sums[static_cast<std::size_t>(block)] = sum;
  });
  double sum = 0.0;
  for (const double s : sums) sum += s;
  return n > 0 ? math::sqrt(sum / static_cast<double>(n)) : 0.0;
}

/// The state of an integration with step control.
template <Real T, class V>
class AdaptiveIntegrator {
 public:
  /// Starts with state x (B, ...) at time `begin`; the sign of end - begin is the direction.
  AdaptiveIntegrator(V& velocity, Tensor<T> x, double begin, double end,
                     const AdaptiveTableau& table, const StepControl& control)
      : velocity_(velocity),
        table_(table),
        control_(control),
        direction_(end > begin ? 1.0 : -1.0),
        end_(end),
        begin_(begin),
        time_(begin),
        before_(x.shape()),
        x_(std::move(x)),
        stage_(x_.shape()),
        k_(table.stages),
        slope_(evaluate(velocity, std::as_const(x_), static_cast<T>(begin))),
        length_(control.first_step > 0.0 ? control.first_step : first_length()) {}

  /// The state (B, ...) at `t`, at or after the current time in the direction of integration.
  Tensor<T> advance_to(double t) {
    for (index_t tries = 0; direction_ * (t - time_) > 0.0; ++tries) {
      if (tries == control_.max_steps)
        raise<NumericError>("sample: ", tries, " steps did not reach t = ", t,
                            "; stopped at t = ", time_);
      step();
    }
    return t == time_ ? x_ : interpolated(t);
  }

  /// The beginning of the last step.
  [[nodiscard]] BasicStepStart<T> start() const {
    return {static_cast<T>(begin_), before_, k_.front()};
  }

 private:
  /// An estimate of the first step length (Hairer, Norsett, Wanner, section II.4): an explicit
  /// Euler step of this length changes the velocity only slightly.
  double first_length() {
    const index_t n = x_.numel();
    const T *x = std::as_const(x_).data(), *v = std::as_const(slope_).data();
    const auto scaled = [&](index_t i, double value) {
      const double e =
          value / (control_.atol + control_.rtol * math::fabs(static_cast<double>(x[i])));
      return e * e;
    };
    const double d0 = root_mean(n, [&](index_t i) { return scaled(i, static_cast<double>(x[i])); });
    const double d1 = root_mean(n, [&](index_t i) { return scaled(i, static_cast<double>(v[i])); });
    const double h0 = d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01 * d0 / d1;
    add_stages<T>(x, stage_.data(), n, direction_ * h0, std::array{1.0}, {&slope_, 1});
    const Tensor<T> moved = evaluate(velocity_, std::as_const(stage_),
                                     static_cast<T>(begin_ + direction_ * h0));  // x's shape
    const T* w = moved.data();
    const double d2 =
        root_mean(n,
                  [&](index_t i) {
                    return scaled(i, static_cast<double>(w[i]) - static_cast<double>(v[i]));
                  }) /
        h0;
    const double h1 = d1 <= 1e-15 && d2 <= 1e-15
                          ? math::max(1e-6, h0 * 1e-3)
                          : math::pow(0.01 / math::max(d1, d2), 1.0 / table_.order);
    return math::min(100.0 * h0, h1);
  }

  /// Attempts one step; accepts it, or shortens the next one.
  void step() {
    double next = time_ + direction_ * length_;
    if (control_.stop_at_end && direction_ * (next - end_) > 0.0) next = end_;
    const double length = math::fabs(next - time_);
    if (!(direction_ * (next - time_) > 0.0))
      raise<NumericError>("sample: the step at t = ", time_,
                          " became too short; the velocity is not finite or not smooth there");
    const index_t n = x_.numel();
    const T from = static_cast<T>(time_), to = static_cast<T>(next),
            dt = static_cast<T>(direction_ * length);
    const std::span<const Tensor<T>> terms(k_);
    k_[0] = slope_;
    for (std::size_t i = 1; i < table_.stages; ++i) {
      add_stages(std::as_const(x_).data(), stage_.data(), n, static_cast<double>(dt), table_.a[i],
                 terms.first(i));
      // The last stage is evaluated just before the end of the step, so that a discontinuity of the
      // velocity exactly there affects only the next step.
      const T t =
          table_.c[i] == 1.0 ? math::nextafter(to, from) : from + static_cast<T>(table_.c[i]) * dt;
      k_[i] = evaluate(velocity_, std::as_const(stage_), t);
    }
    if (!table_.ends_in_last_stage())
      add_stages(std::as_const(x_).data(), stage_.data(), n, static_cast<double>(dt), table_.b,
                 terms);
    const double error = error_ratio(static_cast<double>(dt));
    if (!(error == error))
      raise<NumericError>("sample: the state is not finite in the step from t = ", time_, " to ",
                          next);
    if (error <= 1.0) {
      std::swap(before_, x_);
      std::swap(x_, stage_);
      begin_ = time_;
      time_ = next;
      slope_ = k_.back();
    }
    length_ = length * factor(error);
  }

  /// Error of the step from x_ to stage_, divided by the tolerance.
  double error_ratio(double dt) const {
    std::array<const T*, kMaxAdaptiveStages> terms{};
    for (std::size_t j = 0; j < table_.stages; ++j) terms[j] = k_[j].data();
    const T *x = x_.data(), *y = stage_.data();
    return root_mean(x_.numel(), [&](index_t i) {
      double error = 0.0;
      for (std::size_t j = 0; j < table_.stages; ++j)
        error += table_.error[j] * static_cast<double>(terms[j][i]);
      const double size =
          math::max(math::fabs(static_cast<double>(x[i])), math::fabs(static_cast<double>(y[i])));
      const double ratio = dt * error / (control_.atol + control_.rtol * size);
      return ratio * ratio;
    });
  }

  /// Ratio of the length of the next step to that of the last one, whose error ratio is `error`.
  double factor(double error) const {
    if (error == 0.0) return control_.max_factor;
    const double least = error < 1.0 ? 1.0 : control_.min_factor;
    return math::min(control_.max_factor,
                     math::max(control_.safety / math::pow(error, 1.0 / table_.order), least));
  }

  /// The state (B, ...) at `t` on the polynomial of degree 4 through both ends of the last step,
  /// with their slopes, and its midpoint.
  Tensor<T> interpolated(double t) {
    const index_t n = x_.numel();
    const double dt = time_ - begin_, s = (t - begin_) / dt;
    add_stages(std::as_const(before_).data(), stage_.data(), n, dt, table_.middle,
               std::span<const Tensor<T>>(k_));
    Tensor<T> out(x_.shape());  // x's shape
    T* target = out.data();
    const T *x0 = std::as_const(before_).data(), *middle = std::as_const(stage_).data(),
            *x1 = std::as_const(x_).data();
    const T *v0 = std::as_const(k_.front()).data(), *v1 = std::as_const(k_.back()).data();
    parallel_elements(n, index_t{4096}, [=](index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) {
        const double y0 = static_cast<double>(x0[i]), y1 = static_cast<double>(x1[i]),
                     half = static_cast<double>(middle[i]);
        const double d0 = dt * static_cast<double>(v0[i]), d1 = dt * static_cast<double>(v1[i]);
        const double fourth = 2.0 * (d1 - d0) - 8.0 * (y1 + y0) + 16.0 * half;
        const double third = 5.0 * d0 - 3.0 * d1 + 18.0 * y0 + 14.0 * y1 - 32.0 * half;
        const double second = d1 - 4.0 * d0 - 11.0 * y0 - 5.0 * y1 + 16.0 * half;
        target[i] = static_cast<T>(y0 + s * (d0 + s * (second + s * (third + s * fourth))));
      }
    });
    return out;
  }

  V& velocity_;
  const AdaptiveTableau& table_;
  const StepControl& control_;
  double direction_, end_, begin_, time_;  // the last accepted step went from begin_ to time_
  Tensor<T> before_, x_, stage_;           // (B, ...): states at begin_ and time_, and of a stage
  std::vector<Tensor<T>> k_;  // (B, ...) each, velocities of the stages of the last step
  Tensor<T> slope_;           // (B, ...), velocity at time_
  double length_;             // of the next step
};

}  // namespace detail

/// Integrates `velocity` from the state x (B, ...) at grid[0] and returns the state (B, ...) at
/// grid.back(). The solver chooses its steps independently of the grid. `on_step` is called with a
/// BasicStepInfo<T> of the interpolated state at each point of the grid after the first, and the
/// beginning of the solver's step that contains it; it returns false to stop. All samples of the
/// batch share their steps. Times are kept in double and passed to `velocity` as T. With T = float
/// the estimated errors are close to rounding, which interpolation in long steps may magnify.
///
/// Throws ArgumentError for a grid of fewer than two points or one that is not finite and strictly
/// monotone, or a `control` out of range; ShapeError if x is empty or a velocity has another shape
/// than x; NumericError if the state is not finite, a step becomes too short, or `max_steps` is
/// reached; Cancelled if `on_step` returns false.
template <Real T, class V, class OnStep = detail::NoCallback>
requires Velocity<V, T>
[[nodiscard]] Tensor<T> sample(V&& velocity, Tensor<T> x,
                               std::span<const std::type_identity_t<T>> grid, AdaptiveSolver solver,
                               const StepControl& control = {}, OnStep on_step = {}) {
  detail::require_initial_value(x, grid);
  detail::require_step_control(control);
  const auto steps = static_cast<index_t>(grid.size()) - 1;
  std::optional<detail::AdaptiveIntegrator<T, std::remove_reference_t<V>>> integrator;
  const auto start_at = [&](Tensor<T> from, T t) {
    integrator.emplace(velocity, std::move(from), static_cast<double>(t),
                       static_cast<double>(grid.back()), detail::adaptive_tableau_of(solver),
                       control);
  };
  start_at(std::move(x), grid.front());
  Tensor<T> state;  // x's shape
  for (index_t step = 1; step <= steps; ++step) {
    const T t = grid[static_cast<std::size_t>(step)];
    state = integrator->advance_to(static_cast<double>(t));
    const BasicStepStart<T> start = integrator->start();
    const bool replaced = detail::finish_step(
        on_step, BasicStepInfo<T>{step, steps, t, state, start, detail::data_of_velocity(start.t)},
        grid[static_cast<std::size_t>(step - 1)], state);
    if (replaced && step < steps) start_at(state, t);
  }
  return state;
}

}  // namespace rae
