// Multistep methods for few steps: each step uses estimates of earlier ones, at one evaluation per
// step, with weights for steps of any lengths, such as those of a grid with a time shift.
//
// Source: DPM-Solver++ (arXiv 2211.01095, section 4, multistep with data prediction) and UniPC
// (arXiv 2302.04867, algorithm 1), written for the velocity of a flow. With lambda = log(alpha /
// sigma), the flow from t to t' with estimates D of the data is
//   x(t') = sigma' / sigma x(t) + alpha' int_0^h exp(r - h) D(lambda + r) dr,  h = lambda' -
//   lambda.
// D is interpolated by a polynomial in lambda, for which the integral is exact. At t = 1 (lambda =
// -infinity) and t = 0 (infinity) only the constant polynomial has a limit: such steps are Euler
// steps of the velocity. `ab2` instead interpolates the velocity by a polynomial in t
// (Adams-Bashforth; Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations I", section
// III.5).
#pragma once

#include <array>
#include <span>
#include <utility>
#include <vector>

#include "rae/core/math.hpp"
#include "rae/core/tensor.hpp"
#include "rae/diffusion/path.hpp"
#include "rae/diffusion/solver.hpp"

namespace rae::detail {

/// Largest number of estimates that one step uses.
inline constexpr std::size_t kMaxEstimates = 3;

/// Weights of estimates, the newest first.
using EstimateWeights = std::array<double, kMaxEstimates>;

/// Weights w of the integral over r in [0, h] of exp(r - h) p(r), where p is the polynomial through
/// values at `nodes` (1 to kMaxEstimates of them, distinct): the integral is sum_j w[j]
/// p(nodes[j]). h may be infinite for one node.
inline EstimateWeights exponential_weights(std::span<const double> nodes, double h) {
  EstimateWeights out{};
  // moment[k] is the integral of exp(r - h) r^k.
  EstimateWeights moment{-math::expm1(-h)};
  double power = 1.0;
  for (std::size_t k = 1; k < nodes.size(); ++k) {
    power *= h;
    moment[k] = power - static_cast<double>(k) * moment[k - 1];
  }
  for (std::size_t j = 0; j < nodes.size(); ++j) {
    // The Lagrange polynomial that is 1 at node j, by its coefficients.
    EstimateWeights polynomial{1.0};
    std::size_t degree = 0;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (i == j) continue;
      const double scale = 1.0 / (nodes[j] - nodes[i]);
      ++degree;
      for (std::size_t k = degree; k > 0; --k)
        polynomial[k] = scale * (polynomial[k - 1] - nodes[i] * polynomial[k]);
      polynomial[0] *= -scale * nodes[i];
    }
    for (std::size_t k = 0; k < nodes.size(); ++k) out[j] += polynomial[k] * moment[k];
  }
  return out;
}

/// The steps of a multistep method along the path P, from noise to data.
template <Real T>
class MultistepSteps {
 public:
  /// `solver` is one for which `is_multistep` holds.
  explicit MultistepSteps(Solver solver) : solver_(solver) {}

  /// Advances x (B, ...) from t to `next` < t, where `velocity`, of x's shape, is that at t, and
  /// `of_data` are the factors of the data at t.
  template <Path P>
  void advance(Tensor<T>& x, Tensor<T> velocity, T t, T next, const P& path,
               const Factors& of_data) {
    const auto now = static_cast<double>(t), then = static_cast<double>(next);
    if (solver_ == Solver::ab2) return advance_velocity(x, std::move(velocity), now, then);
    T* data = velocity.data();  // becomes the estimate of the data
    linear_combination<T, 2>(data, x.numel(), {of_data.first, of_data.second},
                             {std::as_const(x).data(), data});
    const double alpha = path.alpha(now), sigma = path.sigma(now);
    if (solver_ == Solver::unipc) correct(x, velocity, logarithm(alpha, sigma), alpha);
    if (estimates_.size() == kMaxEstimates) {
      estimates_.pop_back();
      lambdas_.pop_back();
    }
    estimates_.insert(estimates_.begin(), std::move(velocity));
    lambdas_.insert(lambdas_.begin(), logarithm(alpha, sigma));
    const double alpha_next = path.alpha(then), sigma_next = path.sigma(then);
    length_ = logarithm(alpha_next, sigma_next) - lambdas_.front();
    const EstimateWeights nodes = nodes_of(order());
    predicted_ = exponential_weights(std::span(nodes).first(order()), length_);
    add(x, sigma_next / sigma, alpha_next, predicted_);
  }

 private:
  /// log(alpha / sigma), infinite at the ends of the path.
  static double logarithm(double alpha, double sigma) {
    return math::log(alpha) - math::log(sigma);
  }

  /// The lambdas of the stored estimates, relative to that of the newest.
  [[nodiscard]] EstimateWeights nodes_of(std::size_t count) const {
    EstimateWeights out{};
    for (std::size_t j = 1; j < count; ++j) out[j] = lambdas_[j] - lambdas_[0];
    return out;
  }

  /// Number of estimates that the polynomial of a step uses.
  [[nodiscard]] std::size_t order() const {
    if (!math::is_finite(length_)) return 1;
    const std::size_t most = solver_ == Solver::dpmpp_3m ? 3 : 2;
    std::size_t count = 1;
    while (count < math::min(most, lambdas_.size()) && math::is_finite(lambdas_[count])) ++count;
    return count;
  }

  /// The corrector of UniPC: now that the data at the end of the last step is known, x is moved by
  /// the difference that it makes to the integral of that step.
  void correct(Tensor<T>& x, const Tensor<T>& data, double lambda, double alpha) {
    if (estimates_.empty() || !math::is_finite(length_) || !math::is_finite(lambda)) return;
    const std::size_t known = order();
    EstimateWeights nodes{length_};
    for (std::size_t j = 0; j < known; ++j) nodes[j + 1] = lambdas_[j] - lambdas_[0];
    const EstimateWeights w = exponential_weights(std::span(nodes).first(known + 1), length_);
    std::array<double, kMaxEstimates + 1> factors{1.0, alpha * w[0]};
    std::array<const T*, kMaxEstimates + 1> terms{std::as_const(x).data(), data.data(), data.data(),
                                                  data.data()};
    for (std::size_t j = 0; j < known; ++j) {
      factors[j + 2] = alpha * (w[j + 1] - predicted_[j]);
      terms[j + 2] = std::as_const(estimates_[j]).data();
    }
    linear_combination(x.data(), x.numel(), factors, terms);
  }

  /// x = scale x + factor sum_j weights[j] estimates_[j]
  void add(Tensor<T>& x, double scale, double factor, const EstimateWeights& weights) {
    std::array<double, kMaxEstimates + 1> factors{scale};
    std::array<const T*, kMaxEstimates + 1> terms{std::as_const(x).data()};
    for (std::size_t j = 0; j < kMaxEstimates; ++j) {
      const bool used = j < estimates_.size();
      factors[j + 1] = used ? factor * weights[j] : 0.0;
      terms[j + 1] = std::as_const(estimates_[used ? j : 0]).data();
    }
    linear_combination(x.data(), x.numel(), factors, terms);
  }

  /// A step of Adams-Bashforth with two velocities at the distance `length_`.
  void advance_velocity(Tensor<T>& x, Tensor<T> velocity, double t, double next) {
    const double dt = next - t;
    const double ratio = estimates_.empty() ? 0.0 : 0.5 * dt / length_;
    const T* before = std::as_const(estimates_.empty() ? velocity : estimates_.front()).data();
    linear_combination<T, 3>(x.data(), x.numel(), {1.0, dt * (1.0 + ratio), -dt * ratio},
                             {std::as_const(x).data(), std::as_const(velocity).data(), before});
    estimates_.assign(1, std::move(velocity));
    length_ = dt;
  }

  Solver solver_;
  std::vector<Tensor<T>> estimates_;  // (B, ...) each, of data or velocity, the newest first
  std::vector<double> lambdas_;       // of the estimates
  double length_ = 0;                 // of the last step, in lambda; for ab2 in t
  EstimateWeights predicted_{};       // weights of the estimates in the last step
};

}  // namespace rae::detail
