// The predictions of networks (velocity, data, noise or score), and the linear maps between them
// along a path.
//
// Source: velocity prediction is that of the paper (section 4); noise, score and the loss weight
// are those of SiT's `transport.py`, which the official code uses; data prediction divides by
// max(sigma, floor), as "Back to Basics" (x-prediction) does. `OfficialPath` reproduces the numbers
// of the official code where they differ, see `PathFormulas`.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "rae/core/math.hpp"
#include "rae/diffusion/path.hpp"

namespace rae {

/// The meaning of a network's output: dx_t/dt, the data x_1, the noise x_0, or the score -x_0 /
/// sigma(t).
enum class Prediction { velocity, data, noise, score };

/// Lower-case name.
constexpr std::string_view name_of(Prediction prediction) noexcept {
  constexpr std::string_view kNames[] = {"velocity", "data", "noise", "score"};
  return kNames[static_cast<std::size_t>(prediction)];
}

/// Inverse of `name_of`. Throws ArgumentError.
inline Prediction parse_prediction(std::string_view name) {
  for (const Prediction p :
       {Prediction::velocity, Prediction::data, Prediction::noise, Prediction::score})
    if (name == name_of(p)) return p;
  raise<ArgumentError>("unknown prediction '", name, "': expected velocity, data, noise or score");
}

/// Smallest divisor of data prediction: v = (x_t - x) / max(t, floor) on the linear path.
inline constexpr double kDataPredictionFloor = 0.05;

namespace detail {

/// velocity = first * x_t + second * output
template <Path P>
Factors velocity_factors(const P& path, Prediction prediction, double t, double floor) {
  const double sigma = path.sigma(t);
  switch (prediction) {
    case Prediction::data: {
      const double divisor = math::max(sigma, floor), d_sigma = path.d_sigma(t);
      return {d_sigma / divisor, (path.d_alpha(t) * sigma - path.alpha(t) * d_sigma) / divisor};
    }
    case Prediction::noise: {
      const Factors of_score = velocity_of_score(path, t);
      // At sigma = 0 the quotient has a limit, except on the official VP path, where sigma is never
      // 0.
      return {of_score.first, sigma == 0.0 ? path.d_sigma(t) : -of_score.second / sigma};
    }
    case Prediction::score: return velocity_of_score(path, t);
    default: return {0.0, 1.0};
  }
}

/// output = first * x_t + second * velocity, for the velocity of the path
template <Path P>
Factors prediction_factors(const P& path, Prediction prediction, double t) {
  const double alpha = path.alpha(t), sigma = path.sigma(t), d_alpha = path.d_alpha(t),
               d_sigma = path.d_sigma(t);
  if (!math::is_finite(d_alpha)) {  // VP at t = 1, where x_t is pure noise: the limit
    if (prediction == Prediction::noise) return {1.0 / sigma, 0.0};
    if (prediction == Prediction::score) return {-1.0 / (sigma * sigma), 0.0};
  }
  const double determinant = alpha * d_sigma - sigma * d_alpha;
  switch (prediction) {
    case Prediction::data: return {d_sigma / determinant, -sigma / determinant};
    case Prediction::noise: return {-d_alpha / determinant, alpha / determinant};
    case Prediction::score:
      return {d_alpha / (determinant * sigma), -alpha / (determinant * sigma)};
    default: return {0.0, 1.0};
  }
}

/// data = first * x_t + second * velocity, for the velocity that `to_velocity` computes from a
/// network's output. With data prediction it is that output, also where the floor divides.
template <Path P>
Factors data_factors(const P& path, Prediction network, double t,
                     double floor = kDataPredictionFloor) {
  if (network == Prediction::data) {
    const Factors of_data = velocity_factors(path, network, t, floor);
    return {-of_data.first / of_data.second, 1.0 / of_data.second};
  }
  if constexpr (kIsOfficial<P>)
    if (network == Prediction::noise || network == Prediction::score) {
      const Factors of_score = velocity_of_score(path, t);
      const double alpha = path.alpha(t), weight = path.sigma(t) * path.sigma(t) / alpha;
      return {1.0 / alpha - weight * of_score.first / of_score.second, weight / of_score.second};
    }
  const double d_alpha = path.d_alpha(t);
  if (!math::is_finite(d_alpha)) return {d_alpha, d_alpha};  // VP at t = 1: not determined
  return prediction_factors(path, Prediction::data, t);
}

/// score = first * x_t + second * velocity, for the velocity that `to_velocity` computes from a
/// network's output.
template <Path P>
Factors score_factors(const P& path, Prediction network, double t) {
  if constexpr (kIsOfficial<P>)
    if (network == Prediction::noise || network == Prediction::score) {
      const Factors of_score = velocity_of_score(path, t);
      return {-of_score.first / of_score.second, 1.0 / of_score.second};
    }
  return prediction_factors(path, Prediction::score, t);
}

}  // namespace detail

/// Converts a network's output at x_t to a velocity, in the memory of `output` if it is not shared.
/// output, x and result (B, ...), t (B), or (1) for all samples. `floor` bounds the divisor of data
/// prediction from below. Throws ShapeError, and ArgumentError at times at which the relation is
/// singular: for noise and score at alpha = 0 (t = 1), for data if sigma and floor are both 0.
template <Path P, Real T>
[[nodiscard]] Tensor<T> to_velocity(const P& path, Prediction prediction, Tensor<T> output,
                                    const Tensor<T>& x, const Tensor<T>& t,
                                    double floor = kDataPredictionFloor) {
  if (prediction == Prediction::velocity) {
    require_shape("to_velocity", output.shape(), x.shape());
    return output;
  }
  T* out = output.data();
  detail::combine_samples<T>(
      "to_velocity", x, std::as_const(output), t, out,
      [&](double s) { return detail::velocity_factors(path, prediction, s, floor); },
      detail::kEarliest<P>);
  return output;
}

/// The conversion above with one t for all samples.
template <Path P, Real T>
[[nodiscard]] Tensor<T> to_velocity(const P& path, Prediction prediction, Tensor<T> output,
                                    const Tensor<T>& x, std::type_identity_t<T> t,
                                    double floor = kDataPredictionFloor) {
  if (prediction == Prediction::velocity) {
    require_shape("to_velocity", output.shape(), x.shape());
    return output;
  }
  T* out = output.data();
  detail::combine_samples<T>(
      "to_velocity", x, std::as_const(output), detail::one_time(t), out,
      [&](double s) { return detail::velocity_factors(path, prediction, s, floor); },
      detail::kEarliest<P>);
  return output;
}

/// Converts a velocity at x_t to data, noise or score, in the memory of `velocity` if it is not
/// shared; on the linear path data = x_t - t v. velocity, x and result (B, ...), t (B), or (1) for
/// all samples. Throws ShapeError, and ArgumentError for the score at sigma = 0.
template <Path P, Real T>
[[nodiscard]] Tensor<T> from_velocity(const P& path, Prediction prediction, Tensor<T> velocity,
                                      const Tensor<T>& x, const Tensor<T>& t) {
  if (prediction == Prediction::velocity) {
    require_shape("from_velocity", velocity.shape(), x.shape());
    return velocity;
  }
  T* out = velocity.data();
  detail::combine_samples<T>("from_velocity", x, std::as_const(velocity), t, out, [&](double s) {
    return detail::prediction_factors(path, prediction, s);
  });
  return velocity;
}

/// The conversion above with one t for all samples.
template <Path P, Real T>
[[nodiscard]] Tensor<T> from_velocity(const P& path, Prediction prediction, Tensor<T> velocity,
                                      const Tensor<T>& x, std::type_identity_t<T> t) {
  return from_velocity(path, prediction, std::move(velocity), x, Tensor<T>(Shape{1}, t));
}

/// Returns a velocity, callable (x, t), from a network, callable (x, t), with another prediction.
/// Throws as `to_velocity` when it is called.
template <Path P, class Network>
[[nodiscard]] auto velocity_of(P path, Prediction prediction, Network network,
                               double floor = kDataPredictionFloor) {
  return [path, prediction, network = std::move(network), floor]<Real T>(const Tensor<T>& x,
                                                                         T t) mutable {
    return to_velocity(path, prediction, network(x, t), x, t, floor);
  };
}

/// The target of the network's output at x_t = interpolate(path, data, noise, t). data, noise and
/// result (B, ...), t (B), or (1) for all samples. Throws ShapeError, and ArgumentError if the
/// target is infinite.
template <Path P, Real T>
[[nodiscard]] Tensor<T> training_target(const P& path, Prediction prediction, const Tensor<T>& data,
                                        const Tensor<T>& noise, const Tensor<T>& t) {
  if (prediction == Prediction::velocity) return path_velocity(path, data, noise, t);
  require_shape("training_target", noise.shape(), data.shape());
  Tensor<T> out(data.shape());  // (B, ...)
  detail::combine_samples<T>(
      "training_target", data, noise, t, out.data(), [&](double s) -> detail::Factors {
        if (prediction == Prediction::data) return {1.0, 0.0};
        return {0.0, prediction == Prediction::noise ? 1.0 : -1.0 / path.sigma(s)};
      });
  return out;
}

/// Weights of the squared error |output - target|^2.
enum class LossWeighting {
  none,      ///< 1; for the score sigma^2, so that the error is that of the noise
  velocity,  ///< the factor that turns the error into an error of the velocity
  /// The maximum likelihood weight: that of `velocity` divided by the diffusion of the path (see
  /// `DiffusionForm::sbdm`); 1 for a velocity. With the official formulas it is negative on the
  /// linear and GVP paths (see `PathFormulas`), so that training would maximise the error.
  likelihood
};

/// Lower-case name.
constexpr std::string_view name_of(LossWeighting weighting) noexcept {
  constexpr std::string_view kNames[] = {"none", "velocity", "likelihood"};
  return kNames[static_cast<std::size_t>(weighting)];
}

/// Inverse of `name_of`. Throws ArgumentError.
inline LossWeighting parse_loss_weighting(std::string_view name) {
  for (const LossWeighting w :
       {LossWeighting::none, LossWeighting::velocity, LossWeighting::likelihood})
    if (name == name_of(w)) return w;
  raise<ArgumentError>("unknown loss weight '", name, "': expected none, velocity or likelihood");
}

/// Weight of a sample's squared error at time t in [0, 1]. `floor` as in `to_velocity`. Throws
/// ArgumentError if it is infinite.
template <Path P>
[[nodiscard]] double loss_weight(const P& path, Prediction prediction, LossWeighting weighting,
                                 double t, double floor = kDataPredictionFloor) {
  double factor = 1.0;
  if (weighting == LossWeighting::velocity ||
      (weighting == LossWeighting::likelihood && prediction != Prediction::velocity))
    factor = detail::velocity_factors(path, prediction, t, floor).second;
  else if (prediction == Prediction::score)
    factor = path.sigma(t);
  if (!math::is_finite(factor))
    raise<ArgumentError>("loss_weight: infinite at t = ", t, " for prediction '",
                         name_of(prediction), "'");
  if (weighting != LossWeighting::likelihood || prediction == Prediction::velocity)
    return factor * factor;
  const double diffusion = detail::velocity_of_score(path, t).second;
  const double weight = factor * factor / (detail::kIsOfficial<P> ? diffusion : -diffusion);
  if (!math::is_finite(weight))
    raise<ArgumentError>("loss_weight: infinite at t = ", t, " for prediction '",
                         name_of(prediction), "'");
  return weight;
}

}  // namespace rae
