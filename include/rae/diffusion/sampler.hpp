// Sampling: integrates dx/dt = v(x, t) along a time grid, from noise to data (or back, along an
// increasing grid).
//
// Source: section 4 of the paper (ODE sampling of the flow, 50 Euler steps).
#pragma once

#include <array>
#include <concepts>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "rae/core/math.hpp"
#include "rae/core/parallel.hpp"
#include "rae/core/tensor.hpp"
#include "rae/diffusion/multistep.hpp"
#include "rae/diffusion/path.hpp"
#include "rae/diffusion/prediction.hpp"
#include "rae/diffusion/solver.hpp"

namespace rae {

/// Where the first velocity of a step was evaluated.
template <Real T>
struct BasicStepStart {
  T t{};               ///< flow time
  Tensor<T> x;         ///< the state (B, ...)
  Tensor<T> velocity;  ///< its velocity (B, ...), including guidance
};
using StepStart = BasicStepStart<float>;

/// The argument of a sampler's callback after each step.
template <Real T>
struct BasicStepInfo {
  index_t step;   ///< number of finished steps, 1 to `steps`
  index_t steps;  ///< total number of steps
  T t;            ///< flow time that the state has reached
  const Tensor<T>&
      x;  ///< the state (B, ...), valid during the call; copies of the tensor stay valid
  const BasicStepStart<T>& start;  ///< the beginning of the step, or of the last step of a solver
                                   ///< with step control; valid as `x`
  detail::Factors of_data;         ///< data = first * start.x + second * start.velocity on the path
  index_t first = 0;          ///< position of the batch's first picture among all that are sampled
  Tensor<T>* next = nullptr;  ///< receives the state of `replace`

  /// False at a time at which the velocity does not determine the data.
  [[nodiscard]] bool determines_data() const noexcept {
    return math::is_finite(of_data.first) && math::is_finite(of_data.second);
  }

  /// The denoised estimate (B, ...): the data that the first velocity of the step leads to, which
  /// is start.x - start.t * start.velocity on the linear path, and the output of a network with
  /// data prediction. It is computed at each call. Throws ArgumentError unless
  /// `determines_data`.
  [[nodiscard]] Tensor<T> denoised() const {
    if (!determines_data())
      raise<ArgumentError>("denoised: the velocity at t = ", start.t,
                           " does not determine the data");
    Tensor<T> out(start.x.shape());  // (B, ...)
    detail::linear_combination<T, 2>(out.data(), out.numel(), {of_data.first, of_data.second},
                                     {start.x.data(), start.velocity.data()});
    return out;
  }

  /// Sampling continues from `state` (B, ...) instead of x; after the last step it is the result.
  /// Multistep solvers keep what they stored of earlier steps, an adaptive solver starts anew. The
  /// last call of a step counts. Throws ShapeError for another shape than that of x, NumericError
  /// for NaN or infinity.
  void replace(Tensor<T> state) const {
    if (state.empty()) raise<ShapeError>("replace: the state is empty");
    require_shape("replace", state.shape(), x.shape());
    if (!all_finite(std::as_const(state).span()))
      raise<NumericError>("replace: the state is not finite");
    if (next != nullptr) *next = std::move(state);
  }
};
using StepInfo = BasicStepInfo<float>;

/// A callable that returns dx/dt, of x's shape, at state x and time t.
template <class V, class T>
concept Velocity = requires(V& velocity, const Tensor<T>& x, T t) {
  { velocity(x, t) } -> std::convertible_to<Tensor<T>>;
};

namespace detail {

/// The default callback.
struct NoCallback {};

/// True if there is a callback. An empty Function counts as none.
template <class OnStep>
bool has_callback(const OnStep& on_step) {
  if constexpr (std::is_same_v<OnStep, NoCallback>)
    return false;
  else if constexpr (requires { on_step == nullptr; })
    return !(on_step == nullptr);
  else
    return true;
}

/// False if the callback requests a stop.
template <class OnStep, Real T>
bool wants_more(OnStep& on_step, const BasicStepInfo<T>& info) {
  if constexpr (std::is_same_v<OnStep, NoCallback>)
    return true;
  else
    return !has_callback(on_step) || on_step(info);
}

/// Largest number of velocities in one update.
inline constexpr std::size_t kMaxTerms = 14;

/// out = base + dt * sum_j weights[j] k[j] for n elements; `out` may be base.
template <Real T>
void add_stages(const T* base, T* out, index_t n, double dt, std::span<const double> weights,
                std::span<const Tensor<std::type_identity_t<T>>> k) {
  std::array<const T*, kMaxTerms> terms{};
  std::array<T, kMaxTerms> factors{};
  std::size_t used = 0;
  for (std::size_t j = 0; j < k.size(); ++j) {
    if (weights[j] == 0.0) continue;
    terms[used] = k[j].data();
    factors[used++] = static_cast<T>(dt * weights[j]);
  }
  // The change is summed before it is added to the state, which is much larger: one rounding of the
  // size of the state instead of one for each term.
  parallel_elements(n, index_t{16384}, [&](index_t begin, index_t end) {
    constexpr index_t kChunk = 512;
    std::array<T, kChunk> change;
    for (index_t at = begin; at < end; at += kChunk) {
      const index_t count = math::min(kChunk, end - at);
      for (index_t i = 0; i < count; ++i) change[static_cast<std::size_t>(i)] = T(0);
      for (std::size_t j = 0; j < used; ++j) {
        const T* term = terms[j] + at;
        const T factor = factors[j];
        for (index_t i = 0; i < count; ++i) change[static_cast<std::size_t>(i)] += factor * term[i];
      }
      for (index_t i = 0; i < count; ++i)
        out[at + i] = base[at + i] + change[static_cast<std::size_t>(i)];
    }
  });
}

/// The velocity at x and t. Throws ShapeError unless it has x's shape.
template <Real T, class V>
Tensor<T> evaluate(V& velocity, const Tensor<T>& x, T t) {
  Tensor<T> v = velocity(x, t);  // x's shape
  if (v.empty()) raise<ShapeError>("sample: the velocity returned an empty tensor");
  require_shape("sample: velocity", v.shape(), x.shape());
  return v;
}

/// One step of x (B, ...) from t to `next`, where `first` is the velocity at t. `stage` is scratch
/// memory of x's shape, unused by one-stage methods.
template <Real T, class V>
void advance(V& velocity, Tensor<T>& x, Tensor<T>& stage, Tensor<T> first, T t, T next,
             const Tableau& table) {
  std::array<Tensor<T>, kMaxStages> k;
  const std::span<const Tensor<T>> terms(k);
  const double dt = static_cast<double>(next - t);
  k[0] = std::move(first);
  for (std::size_t i = 1; i < table.stages; ++i) {
    const T time = table.c[i] == 1.0 ? next : t + static_cast<T>(dt * table.c[i]);
    add_stages(std::as_const(x).data(), stage.data(), x.numel(), dt, table.a[i], terms.first(i));
    k[i] = evaluate(velocity, std::as_const(stage), time);
  }
  T* out = x.data();
  add_stages<T>(out, out, x.numel(), dt, table.b, terms.first(table.stages));
}

/// The steps of the Adams methods, which store the velocities at the beginnings of earlier steps.
template <Real T>
class AdamsSteps {
 public:
  AdamsSteps(Solver solver, const CorrectorControl& control, const Shape& shape)
      : implicit_(solver == Solver::implicit_adams), control_(control), stage_(shape) {
    if (!implicit_) return;
    if (!(control.atol >= 0.0 && control.rtol >= 0.0 && control.max_iterations >= 1))
      raise<ArgumentError>(
          "sample: expected tolerances >= 0 and max_iterations >= 1 of the corrector, got ",
          control.atol, ", ", control.rtol, " and ", control.max_iterations);
    change_ = Tensor<T>(shape);
    known_ = Tensor<T>(shape);
  }

  /// Advances x (B, ...) from t to `next`, where `first` is the velocity at t.
  template <class V>
  void advance(V& velocity, Tensor<T>& x, Tensor<T> first, T t, T next) {
    if (history_.size() == kMaxAdamsOrder) history_.pop_back();
    history_.insert(history_.begin(), std::move(first));
    const std::size_t order = history_.size();
    if (order < kMinAdamsOrder)
      return detail::advance(velocity, x, stage_, history_.front(), t, next,
                             tableau_of(Solver::rk4));
    const double dt = static_cast<double>(next - t);
    if (implicit_) {
      correct(velocity, std::as_const(x), next, dt);
      add_stages<T>(x.data(), x.data(), x.numel(), 1.0, std::array{1.0}, {&change_, 1});
    } else {
      add_stages<T>(x.data(), x.data(), x.numel(), dt, adams_weights(order), history_);
    }
  }

 private:
  /// change_ = dt (w_0 v(x + change_, next) + sum_j w_(j+1) history_[j]), iterated, starting with
  /// the change of the explicit method.
  template <class V>
  void correct(V& velocity, const Tensor<T>& x, T next, double dt) {
    const AdamsWeights weights = adams_weights(history_.size() + 1, true);
    change_.fill(T(0));
    known_.fill(T(0));
    add_stages<T>(known_.data(), known_.data(), x.numel(), dt, std::span(weights).subspan(1),
                  history_);
    add_stages<T>(change_.data(), change_.data(), x.numel(), dt, adams_weights(history_.size()),
                  history_);
    for (index_t i = 0; i < control_.max_iterations; ++i) {
      add_stages<T>(x.data(), stage_.data(), x.numel(), 1.0, std::array{1.0}, {&change_, 1});
      const Tensor<T> v = evaluate(velocity, std::as_const(stage_), next);  // x's shape
      if (move_change(v.data(), static_cast<T>(dt * weights[0])) < 1.0) return;
    }
    history_.pop_back();
  }

  /// change_ = factor v + known_; returns the largest difference of an element from its value
  /// before, divided by the tolerance.
  double move_change(const T* v, T factor) {
    constexpr index_t kBlock = 4096;
    const index_t n = change_.numel(), blocks = (n + kBlock - 1) / kBlock;
    std::vector<double> largest(static_cast<std::size_t>(blocks), 0.0);
    T* change = change_.data();
    const T* known = std::as_const(known_).data();
    parallel_for(blocks, index_t{4}, [&](index_t block) {
      double most = 0.0;
      for (index_t i = block * kBlock; i < math::min(n, (block + 1) * kBlock); ++i) {
        const T moved = factor * v[i] + known[i];
        const double size =
            static_cast<double>(math::max(math::fabs(change[i]), math::fabs(moved)));
        most = math::max(most, static_cast<double>(math::fabs(change[i] - moved)) /
                                   (control_.atol + control_.rtol * size));
        change[i] = moved;
      }
      largest[static_cast<std::size_t>(block)] = most;
    });
    double most = largest[0];
    for (const double value : largest) most = math::max(most, value);
    return most;
  }

  bool implicit_;
  CorrectorControl control_;
  Tensor<T> stage_, change_, known_;  // all of x's shape
  std::vector<Tensor<T>> history_;    // (B, ...) each, velocities, the newest first
};

/// Throws ShapeError, ArgumentError or NumericError unless x can be integrated along the grid.
template <Real T>
void require_initial_value(const Tensor<T>& x, std::span<const T> grid) {
  if (x.empty()) raise<ShapeError>("sample: the initial state is empty");
  if (grid.size() < 2)
    raise<ArgumentError>("sample: a time grid needs at least two points, got ", grid.size());
  for (std::size_t i = 0; i < grid.size(); ++i)
    if (!math::is_finite(grid[i]) ||
        (i > 0 && !(grid[0] > grid[1] ? grid[i] < grid[i - 1] : grid[i] > grid[i - 1])))
      raise<ArgumentError>("sample: the time grid is not strictly monotone at point ", i,
                           " (t = ", grid[i], ")");
  if (!all_finite(x.span())) raise<NumericError>("sample: the initial state is not finite");
}

/// Factors of the data on the linear path, x - t v.
template <Real T>
constexpr Factors data_of_velocity(T t) noexcept {
  return {1.0, -static_cast<double>(t)};
}

/// The same on any path.
template <Real T, Path P>
Factors data_of_velocity(const P& path, T t) {
  return data_factors(path, Prediction::velocity, static_cast<double>(t));
}
template <Real T>
constexpr Factors data_of_velocity(const LinearPath&, T t) noexcept {
  return data_of_velocity(t);
}

/// Throws ArgumentError unless the multistep methods can follow the grid: it descends within [0,
/// 1], and the velocity determines the data at the beginning of each step.
template <Real T, Path P>
void require_multistep(Solver solver, const P& path, std::span<const T> grid) {
  if (!(grid.front() <= T(1) && grid.back() >= T(0) && grid.front() > grid.back()))
    raise<ArgumentError>("sample: ", name_of(solver), " needs a grid that descends within [0, 1], ",
                         "got one from ", grid.front(), " to ", grid.back());
  if (solver == Solver::ab2) return;
  for (const T t : grid.first(grid.size() - 1)) {
    const Factors f = data_of_velocity(path, t);
    if (!math::is_finite(f.first) || !math::is_finite(f.second))
      raise<ArgumentError>("sample: ", name_of(solver),
                           " needs the data, which the velocity at t = ", t,
                           " does not determine; use a grid that does not contain it, or ab2");
  }
}

/// Ends a step from t to the state x (B, ...) of `info`, which the callback may replace; returns
/// true if it did. Throws NumericError if x is not finite, Cancelled if the callback returns false.
template <Real T, class OnStep>
bool finish_step(OnStep& on_step, BasicStepInfo<T> info, T t, Tensor<T>& x) {
  if (!all_finite(info.x.span()))
    raise<NumericError>("sample: the state is not finite after step ", info.step, " of ",
                        info.steps, " (t = ", t, " to ", info.t, ")");
  Tensor<T> next;  // x's shape, or empty
  info.next = &next;
  if (!wants_more(on_step, info))
    raise<Cancelled>("sample: stopped by the callback after step ", info.step, " of ", info.steps);
  if (next.empty()) return false;
  x = std::move(next);
  return true;
}

}  // namespace detail

/// Integrates `velocity` from the state x (B, ...) at grid[0] in grid.size() - 1 steps and returns
/// the state (B, ...) at grid.back(). `x` is updated in place: move it in to save a copy. After the
/// first step only the results of `velocity` are allocated, of which the Adams methods keep at most
/// eleven. `on_step` is called with a BasicStepInfo<T> after each step, whose denoised estimate is
/// that of `path`; it returns false to stop. With a callback, the state at the beginning
/// of a step is kept until its end. `corrector` is used only by implicit_adams, `path` for the
/// denoised estimates and by the solvers that use them: dpmpp_2m, dpmpp_3m, unipc.
///
/// Throws ArgumentError for a `corrector` out of range, a grid that the multistep methods for few
/// steps cannot follow, a grid of fewer than two points or one that
/// is not finite and strictly monotone, ShapeError if x is empty or a velocity has another shape
/// than x, NumericError with the number of the step if the state is not finite, Cancelled if
/// `on_step` returns false.
template <Real T, class V, class OnStep = detail::NoCallback, Path P = LinearPath>
requires Velocity<V, T>
[[nodiscard]] Tensor<T> sample(V&& velocity, Tensor<T> x,
                               std::span<const std::type_identity_t<T>> grid,
                               Solver solver = Solver::euler, OnStep on_step = {},
                               const CorrectorControl& corrector = {}, const P& path = {}) {
  detail::require_initial_value(x, grid);
  if (detail::is_multistep(solver)) detail::require_multistep<T>(solver, path, grid);
  const detail::Tableau table = detail::tableau_of(solver);
  const auto steps = static_cast<index_t>(grid.size()) - 1;
  std::optional<detail::AdamsSteps<T>> adams;
  detail::MultistepSteps<T> multistep(solver);
  Tensor<T> stage;  // x's shape
  if (detail::is_adams(solver))
    adams.emplace(solver, corrector, x.shape());
  else if (table.stages > 1)
    stage = Tensor<T>(x.shape());
  for (index_t step = 1; step <= steps; ++step) {
    const T t = grid[static_cast<std::size_t>(step - 1)],
            next = grid[static_cast<std::size_t>(step)];
    Tensor<T> first = detail::evaluate(velocity, std::as_const(x), t);  // x's shape
    BasicStepStart<T> start;
    if (detail::has_callback(on_step)) start = {t, x, first};
    const detail::Factors of_data = detail::data_of_velocity(path, t);
    if (adams)
      adams->advance(velocity, x, std::move(first), t, next);
    else if (detail::is_multistep(solver))
      multistep.advance(x, std::move(first), t, next, path, of_data);
    else
      detail::advance(velocity, x, stage, std::move(first), t, next, table);
    detail::finish_step(on_step, BasicStepInfo<T>{step, steps, next, x, start, of_data}, t, x);
  }
  return x;
}

}  // namespace rae
