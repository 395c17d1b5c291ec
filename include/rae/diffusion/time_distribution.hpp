// Distributions of the training time t, sampled by inversion from given uniforms.
//
// Source: section 4 of the paper; uniform and truncated logit-normal times of the official
// transport, drawn before the time shift.
#pragma once

#include <charconv>
#include <span>
#include <string>
#include <string_view>

#include "rae/core/dtype.hpp"
#include "rae/core/math.hpp"
#include "rae/diffusion/inverse_normal.hpp"

namespace rae {

/// The interval [low, high] of times before the shift, in [0, 1]. The official code uses [0, 0.999]
/// for velocity and [0.001, 0.999] for noise and score.
struct TimeInterval {
  double low = 0.0;
  double high = 0.999;
};

/// Uniform on an interval, or logit-normal (t = sigmoid(mu + sigma n), n standard normal) truncated
/// to it.
class TimeDistribution {
 public:
  /// Uniform on [0, 0.999].
  TimeDistribution() : TimeDistribution(uniform()) {}

  /// Uniform on `interval`. Throws ArgumentError unless 0 <= low < high <= 1.
  [[nodiscard]] static TimeDistribution uniform(TimeInterval interval = {}) {
    return {0.0, 0.0, interval};
  }

  /// Sigmoid of N(mu, sigma^2), truncated to `interval`. Throws ArgumentError unless 0 <= low <
  /// high <= 1, sigma > 0 and both parameters are finite, or if the interval has no probability
  /// mass.
  [[nodiscard]] static TimeDistribution logit_normal(double mu, double sigma,
                                                     TimeInterval interval = {}) {
    if (!math::is_finite(mu) || !(sigma > 0.0 && math::is_finite(sigma)))
      raise<ArgumentError>("logit-normal time distribution: expected finite mu and sigma > 0, got ",
                           mu, " and ", sigma);
    return {mu, sigma, interval};
  }

  /// The distribution named "uniform" or "logit-normal_MU_SIGMA", for example "logit-normal_0_1".
  /// Throws ArgumentError.
  [[nodiscard]] static TimeDistribution parse(std::string_view text, TimeInterval interval = {}) {
    constexpr std::string_view kPrefix = "logit-normal_";
    if (text == "uniform") return uniform(interval);
    if (text.starts_with(kPrefix)) {
      const std::string_view numbers = text.substr(kPrefix.size());
      const std::size_t split = numbers.find('_');
      double mu = 0.0, sigma = 0.0;
      if (split != std::string_view::npos && number(numbers.substr(0, split), mu) &&
          number(numbers.substr(split + 1), sigma))
        return logit_normal(mu, sigma, interval);
    }
    raise<ArgumentError>("unknown time distribution '", text,
                         "': expected \"uniform\" or \"logit-normal_MU_SIGMA\"");
  }

  /// The quantile function: the time at `u` in [0, 1], increasing with u. NaN for u outside [0, 1]
  /// or NaN.
  [[nodiscard]] double operator()(double u) const noexcept {
    if (sigma_ == 0.0) return interval_.low + (interval_.high - interval_.low) * u;
    const double normal = inverse_normal_cdf(cdf_low_ + (cdf_high_ - cdf_low_) * u);
    // Rounding at u = 0 and u = 1 may leave the interval; the clamp corrects that and keeps NaN.
    const double t = 1.0 / (1.0 + math::exp(-(mu_ + sigma_ * normal)));
    return t < interval_.low ? interval_.low : t > interval_.high ? interval_.high : t;
  }

  /// Replaces uniform numbers in [0, 1] by times, in place.
  template <Real T>
  void transform(std::span<T> uniforms) const noexcept {
    for (T& u : uniforms) u = static_cast<T>((*this)(static_cast<double>(u)));
  }

  /// The interval of the times.
  [[nodiscard]] TimeInterval interval() const noexcept { return interval_; }

  /// The name that `parse` accepts.
  [[nodiscard]] std::string to_string() const {
    return sigma_ == 0.0 ? std::string("uniform") : concat("logit-normal_", mu_, "_", sigma_);
  }

 private:
  TimeDistribution(double mu, double sigma, TimeInterval interval)
      : mu_(mu), sigma_(sigma), interval_(interval) {
    if (!(interval.low >= 0.0 && interval.low < interval.high && interval.high <= 1.0))
      raise<ArgumentError>("time distribution: expected 0 <= low < high <= 1, got ", interval.low,
                           " and ", interval.high);
    if (sigma == 0.0) return;
    cdf_low_ = normal_cdf((logit(interval.low) - mu) / sigma);
    cdf_high_ = normal_cdf((logit(interval.high) - mu) / sigma);
    if (!(cdf_low_ < cdf_high_))
      raise<ArgumentError>("time distribution: ", to_string(), " has no mass in [", interval.low,
                           ", ", interval.high, "]");
  }

  static double logit(double t) noexcept { return math::log(t / (1.0 - t)); }

  static bool number(std::string_view text, double& value) noexcept {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
  }

  double mu_, sigma_;  // sigma 0: uniform
  TimeInterval interval_;
  double cdf_low_ = 0.0, cdf_high_ = 0.0;
};

}  // namespace rae
