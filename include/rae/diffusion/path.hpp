// Paths x_t = alpha(t) x_1 + sigma(t) x_0 between data (t = 0) and noise (t = 1), and their
// velocity.
//
// Source: the flow matching of the paper (section 4, linear path); GVP and VP are the other paths
// of SiT's `transport/path.py`, which the official code uses with reversed time.
#pragma once

#include <array>
#include <concepts>
#include <numbers>
#include <string_view>

#include "rae/core/math.hpp"
#include "rae/core/parallel.hpp"
#include "rae/core/tensor.hpp"

namespace rae {

/// Coefficients of a path and their derivatives, all as functions of t in [0, 1]: alpha(0) =
/// sigma(1) = 1, alpha(1) = 0.
template <class P>
concept Path = requires(const P& path, double t) {
  { path.alpha(t) } -> std::same_as<double>;
  { path.sigma(t) } -> std::same_as<double>;
  { path.d_alpha(t) } -> std::same_as<double>;
  { path.d_sigma(t) } -> std::same_as<double>;
};

/// The linear path of the paper: alpha = 1 - t, sigma = t, velocity x_0 - x_1.
struct LinearPath {
  [[nodiscard]] constexpr double alpha(double t) const noexcept { return 1.0 - t; }
  [[nodiscard]] constexpr double sigma(double t) const noexcept { return t; }
  [[nodiscard]] constexpr double d_alpha(double) const noexcept { return -1.0; }
  [[nodiscard]] constexpr double d_sigma(double) const noexcept { return 1.0; }
};

/// The generalised variance preserving path: alpha = cos(pi t / 2), sigma = sin(pi t / 2), so that
/// alpha^2 + sigma^2 = 1.
struct GvpPath {
  static constexpr double kHalfPi = std::numbers::pi / 2;
  // At t = 1, cos of the rounded pi / 2 would be 6e-17 instead of 0.
  [[nodiscard]] double alpha(double t) const noexcept {
    return t == 1.0 ? 0.0 : math::cos(kHalfPi * t);
  }
  [[nodiscard]] double sigma(double t) const noexcept { return math::sin(kHalfPi * t); }
  [[nodiscard]] double d_alpha(double t) const noexcept {
    return -kHalfPi * math::sin(kHalfPi * t);
  }
  [[nodiscard]] double d_sigma(double t) const noexcept {
    return t == 1.0 ? 0.0 : kHalfPi * math::cos(kHalfPi * t);
  }
};

/// Variance preserving diffusion with a linear rate beta from 20 (data end) to 0.1 (noise end):
/// sigma = exp(L), L = -(19.9 (1-t)^2 / 4 + 0.1 (1-t) / 2), alpha = sqrt(1 - sigma^2). The
/// derivative of alpha is infinite at t = 1.
struct VpPath {
  static constexpr double kBetaMin = 0.1;
  static constexpr double kBetaMax = 20.0;
  [[nodiscard]] double alpha(double t) const noexcept {
    return math::sqrt(-math::expm1(2.0 * log_sigma(t)));
  }
  [[nodiscard]] double sigma(double t) const noexcept { return math::exp(log_sigma(t)); }
  [[nodiscard]] double d_alpha(double t) const noexcept {
    return -sigma(t) * d_sigma(t) / alpha(t);
  }
  [[nodiscard]] double d_sigma(double t) const noexcept { return sigma(t) * 0.5 * beta(t); }
  /// The rate beta(t), with d log sigma / dt = beta / 2.
  [[nodiscard]] double beta(double t) const noexcept {
    return (1.0 - t) * (kBetaMax - kBetaMin) + kBetaMin;
  }

 private:
  [[nodiscard]] static double log_sigma(double t) noexcept {
    return -0.25 * (1.0 - t) * (1.0 - t) * (kBetaMax - kBetaMin) - 0.5 * (1.0 - t) * kBetaMin;
  }
};

/// The paths by name, for configurations.
enum class PathKind { linear, gvp, vp };

/// Lower-case name.
constexpr std::string_view name_of(PathKind kind) noexcept {
  constexpr std::string_view kNames[] = {"linear", "gvp", "vp"};
  return kNames[static_cast<std::size_t>(kind)];
}

/// Inverse of `name_of`; the official "Linear", "GVP" and "VP" are accepted, too. Throws
/// ArgumentError.
inline PathKind parse_path_kind(std::string_view name) {
  constexpr std::string_view kOfficial[] = {"Linear", "GVP", "VP"};
  for (const PathKind kind : {PathKind::linear, PathKind::gvp, PathKind::vp})
    if (name == name_of(kind) || name == kOfficial[static_cast<std::size_t>(kind)]) return kind;
  raise<ArgumentError>("unknown path '", name, "': expected linear, gvp or vp");
}

/// The formulas that relate velocity and score along a path, which also determine the diffusion
/// `sbdm` and the weights of losses.
///
/// The official code takes its formulas from SiT, where data is at t = 1, but reverses time only in
/// alpha and sigma. Its VP path keeps the velocity beta (x + score) / 2, which has the wrong
/// direction: with the score of the true distribution it leads away from the data. On the other
/// paths only the diffusion `sbdm` and the weight `likelihood` differ, whose signs are negative.
/// `exact`, the default, follows from alpha and sigma; `official` reproduces the numbers of the
/// official code for models that were trained with it.
enum class PathFormulas { exact, official };

/// Lower-case name.
constexpr std::string_view name_of(PathFormulas formulas) noexcept {
  return formulas == PathFormulas::official ? "official" : "exact";
}

/// Inverse of `name_of`. Throws ArgumentError.
inline PathFormulas parse_path_formulas(std::string_view name) {
  for (const PathFormulas f : {PathFormulas::exact, PathFormulas::official})
    if (name == name_of(f)) return f;
  raise<ArgumentError>("unknown formulas of a path '", name, "': expected exact or official");
}

/// A path with the formulas of the official code, see `PathFormulas`; alpha and sigma are the same.
template <Path P>
struct OfficialPath : P {};

/// Calls f with the path of the given kind and formulas and returns its result.
template <class F>
decltype(auto) with_path(PathKind kind, PathFormulas formulas, F&& f) {
  const bool official = formulas == PathFormulas::official;
  switch (kind) {
    case PathKind::gvp: return official ? f(OfficialPath<GvpPath>{}) : f(GvpPath{});
    case PathKind::vp: return official ? f(OfficialPath<VpPath>{}) : f(VpPath{});
    default: return official ? f(OfficialPath<LinearPath>{}) : f(LinearPath{});
  }
}

namespace detail {

template <class P>
inline constexpr bool kIsOfficial = false;
template <class P>
inline constexpr bool kIsOfficial<OfficialPath<P>> = true;

/// Smallest time at which a velocity is defined: the official adaptive sampler steps past the last
/// point of its grid, even to times below 0.
template <class P>
inline constexpr double kEarliest = kIsOfficial<P> ? -1.0 : 0.0;

/// Smallest number of elements per thread if an element costs one multiplication.
inline constexpr index_t kDiffusionGrain = 16384;

/// Factors of out = first * x + second * y.
struct Factors {
  double first, second;
};

/// out = sum_j factors[j] terms[j] for n elements; `out` may be one of the terms.
template <Real T, std::size_t N>
void linear_combination(T* out, index_t n, const std::array<double, N>& factors,
                        const std::array<const T*, N>& terms) {
  std::array<T, N> f{};
  for (std::size_t j = 0; j < N; ++j) f[j] = static_cast<T>(factors[j]);
  parallel_elements(n, kDiffusionGrain, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      T sum = f[0] * terms[0][i];
      for (std::size_t j = 1; j < N; ++j) sum += f[j] * terms[j][i];
      out[i] = sum;
    }
  });
}

/// velocity = first * x_t + second * score, where second <= 0.
template <Path P>
Factors velocity_of_score(const P& path, double t) {
  const double sigma = path.sigma(t), ratio = path.d_alpha(t) / path.alpha(t);
  return {ratio, sigma * (sigma * ratio - path.d_sigma(t))};
}

/// The formula of the official VP path, whose second factor is positive.
inline Factors velocity_of_score(const OfficialPath<VpPath>& path, double t) {
  return {0.5 * path.beta(t), 0.5 * path.beta(t)};
}

/// Throws ArgumentError unless every t (B) is in [earliest, 1] and its factors are finite.
template <Real T, class F>
void check_factors(std::string_view where, View<const T> t, F factors, double earliest) {
  for (index_t b = 0; b < t.numel(); ++b) {
    const double time = static_cast<double>(t.data()[b]);
    if (!(time >= earliest && time <= 1.0))
      raise<ArgumentError>(where, ": t[", b, "] = ", time, " is outside [0, 1]");
    const Factors f = factors(time);
    if (!math::is_finite(f.first) || !math::is_finite(f.second))
      raise<ArgumentError>(where, ": undefined at t[", b, "] = ", time,
                           "; keep t away from the end of the path");
  }
}

/// out[b] = first(t[b]) * x[b] + second(t[b]) * y[b] for samples x, y and out (B, ...) and times t
/// (B), or (1) for all samples. `out` may be x or y. Throws ShapeError, ArgumentError.
template <Real T, class F>
void combine_samples(std::string_view where, View<const T> x, View<const T> y, View<const T> t,
                     T* out, F factors, double earliest = 0.0) {
  if (x.empty() || y.empty() || t.empty()) raise<ShapeError>(where, ": a tensor is empty");
  require_shape(where, y.shape(), x.shape());
  if (t.numel() < 1 || (t.numel() > 1 && (x.shape().rank() < 1 || t.numel() != x.extent(0))))
    raise<ShapeError>(where, ": ", t.numel(), " values of t do not fit samples of shape ",
                      x.shape());
  check_factors(where, t, factors, earliest);
  if (x.numel() == 0) return;
  const index_t inner = x.numel() / t.numel();
  const T *first = x.data(), *second = y.data(), *times = t.data();
  parallel_elements(x.numel(), kDiffusionGrain, [=](index_t begin, index_t end) {
    while (begin < end) {
      const index_t sample = begin / inner;
      const index_t stop = math::min(end, (sample + 1) * inner);
      const Factors f = factors(static_cast<double>(times[sample]));
      const T a = static_cast<T>(f.first), c = static_cast<T>(f.second);
      for (index_t i = begin; i < stop; ++i) out[i] = a * first[i] + c * second[i];
      begin = stop;
    }
  });
}

/// A view (1) of a scalar time, for `combine_samples`.
template <Real T>
View<const T> one_time(const T& t) {
  return {&t, Shape{1}};
}

}  // namespace detail

/// x_t = alpha(t) data + sigma(t) noise. data, noise and result (B, ...), t (B), or (1) for all
/// samples, in [0, 1]. Throws ShapeError, ArgumentError.
template <Path P, Real T>
[[nodiscard]] Tensor<T> interpolate(const P& path, const Tensor<T>& data, const Tensor<T>& noise,
                                    const Tensor<T>& t) {
  require_shape("interpolate", noise.shape(), data.shape());
  Tensor<T> out(data.shape());  // (B, ...)
  detail::combine_samples<T>("interpolate", data, noise, t, out.data(),
                             [&](double s) -> detail::Factors {
                               return {path.alpha(s), path.sigma(s)};
                             });
  return out;
}

/// The velocity dx_t/dt = alpha'(t) data + sigma'(t) noise; noise - data on the linear path. Shapes
/// as for `interpolate`. Throws ShapeError, and ArgumentError for t outside [0, 1] or at which a
/// derivative is infinite (VP at t = 1).
template <Path P, Real T>
[[nodiscard]] Tensor<T> path_velocity(const P& path, const Tensor<T>& data, const Tensor<T>& noise,
                                      const Tensor<T>& t) {
  require_shape("path_velocity", noise.shape(), data.shape());
  Tensor<T> out(data.shape());  // (B, ...)
  detail::combine_samples<T>("path_velocity", data, noise, t, out.data(),
                             [&](double s) -> detail::Factors {
                               return {path.d_alpha(s), path.d_sigma(s)};
                             });
  return out;
}

}  // namespace rae
