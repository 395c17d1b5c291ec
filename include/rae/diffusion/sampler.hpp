// Sampling: integrates dx/dt = v(x, t) along a time grid, from noise to data (or back, along an increasing grid).
//
// Source: section 4 of the paper (ODE sampling of the flow, 50 Euler steps).
#pragma once

#include <cmath>
#include <concepts>
#include <span>
#include <type_traits>
#include <utility>

#include "rae/core/parallel.hpp"
#include "rae/core/tensor.hpp"
#include "rae/diffusion/solver.hpp"

namespace rae {

/// What a sampler tells its callback after each step.
template <Real T>
struct BasicStepInfo {
  index_t step;        ///< finished steps, 1 to `steps`
  index_t steps;       ///< steps in all
  T t;                 ///< flow time that the state has reached
  const Tensor<T>& x;  ///< the state (B, ...); valid during the call, a copy shares its elements
};
using StepInfo = BasicStepInfo<float>;

/// A callable that gives dx/dt, of x's shape, at state x and time t.
template <class V, class T>
concept Velocity = requires(V& velocity, const Tensor<T>& x, T t) {
  { velocity(x, t) } -> std::convertible_to<Tensor<T>>;
};

namespace detail {

/// The default callback.
struct NoCallback {};

/// True unless the callback asks to stop. An empty std::function counts as no callback.
template <class OnStep, Real T>
bool wants_more(OnStep& on_step, const BasicStepInfo<T>& info) {
  if constexpr (std::is_same_v<OnStep, NoCallback>) {
    return true;
  } else {
    if constexpr (requires { on_step == nullptr; })
      if (on_step == nullptr) return true;
    return on_step(info);
  }
}

/// out = base + dt * sum_j weights[j] k[j], for the first `count` terms; `out` may be base.
template <Real T>
void add_stages(const T* base, T* out, index_t n, double dt, const std::array<double, kMaxStages>& weights,
                const std::array<Tensor<T>, kMaxStages>& k, std::size_t count) {
  std::array<const T*, kMaxStages> terms{};
  std::array<T, kMaxStages> factors{};
  std::size_t used = 0;
  for (std::size_t j = 0; j < count; ++j) {
    if (weights[j] == 0.0) continue;
    terms[used] = k[j].data();
    factors[used++] = static_cast<T>(dt * weights[j]);
  }
  parallel_elements(n, index_t{16384}, [&](index_t begin, index_t end) {
    const T* source = base;
    for (std::size_t j = 0; j < used; ++j) {
      const T* term = terms[j];
      const T factor = factors[j];
      for (index_t i = begin; i < end; ++i) out[i] = source[i] + factor * term[i];
      source = out;
    }
  });
}

/// One step from t to `next`. `stage` is scratch memory of x's shape, unused by one-stage methods.
template <Real T, class V>
void advance(V& velocity, Tensor<T>& x, Tensor<T>& stage, T t, T next, const Tableau& table) {
  std::array<Tensor<T>, kMaxStages> k;
  const double dt = static_cast<double>(next - t);
  for (std::size_t i = 0; i < table.stages; ++i) {
    const T time = table.c[i] == 1.0 ? next : t + static_cast<T>(dt * table.c[i]);
    if (i > 0) add_stages(std::as_const(x).data(), stage.data(), x.numel(), dt, table.a[i], k, i);
    k[i] = velocity(std::as_const(i == 0 ? x : stage), time);
    if (k[i].empty()) raise<ShapeError>("sample: the velocity returned an empty tensor");
    require_shape("sample: velocity", k[i].shape(), x.shape());
  }
  T* out = x.data();
  add_stages<T>(out, out, x.numel(), dt, table.b, k, table.stages);
}

}  // namespace detail

/// Integrates `velocity` from x at grid[0] to the state at grid.back() and returns it; grid.size() - 1 steps. `x` is updated in place:
/// move it in to save a copy. After the first step nothing is allocated but what `velocity` returns. `on_step`, called with a
/// BasicStepInfo<T> after each step, returns false to stop.
///
/// Throws ArgumentError for a grid of fewer than two points or one that is not finite and strictly monotone, ShapeError when x is empty or
/// a velocity has another shape than x, NumericError with the number of the step when the state is not finite, Cancelled when `on_step`
/// says so.
template <Real T, class V, class OnStep = detail::NoCallback>
requires Velocity<V, T>
[[nodiscard]] Tensor<T> sample(V&& velocity, Tensor<T> x, std::span<const std::type_identity_t<T>> grid, Solver solver = Solver::euler,
                               OnStep on_step = {}) {
  if (x.empty()) raise<ShapeError>("sample: the initial state is empty");
  if (grid.size() < 2) raise<ArgumentError>("sample: a time grid needs at least two points, got ", grid.size());
  for (std::size_t i = 0; i < grid.size(); ++i)
    if (!std::isfinite(grid[i]) || (i > 0 && !(grid[0] > grid[1] ? grid[i] < grid[i - 1] : grid[i] > grid[i - 1])))
      raise<ArgumentError>("sample: the time grid is not strictly monotone at point ", i, " (t = ", grid[i], ")");
  if (!all_finite(std::as_const(x).span())) raise<NumericError>("sample: the initial state is not finite");
  const detail::Tableau table = detail::tableau_of(solver);
  const auto steps = static_cast<index_t>(grid.size()) - 1;
  Tensor<T> stage;  // x's shape
  if (table.stages > 1) stage = Tensor<T>(x.shape());
  for (index_t step = 1; step <= steps; ++step) {
    const T t = grid[static_cast<std::size_t>(step - 1)], next = grid[static_cast<std::size_t>(step)];
    detail::advance(velocity, x, stage, t, next, table);
    if (!all_finite(std::as_const(x).span()))
      raise<NumericError>("sample: the state is not finite after step ", step, " of ", steps, " (t = ", t, " to ", next, ")");
    if (!detail::wants_more(on_step, BasicStepInfo<T>{step, steps, next, x}))
      raise<Cancelled>("sample: stopped by the callback after step ", step, " of ", steps);
  }
  return x;
}

}  // namespace rae
