// Flow matching losses over path, prediction and weight: the noisy latent that the network sees,
// the target of its output, and the weight of each sample's error.
//
// Diffusion Transformers with Representation Autoencoders, section 4 (linear path, velocity); the
// other paths, predictions and weights are those of the official `Transport.training_losses`, after
// SiT; data prediction divides by max(sigma, 0.05), as "Back to Basics" (x-prediction) does.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "rae/core/math.hpp"
#include "rae/diffusion/path.hpp"
#include "rae/diffusion/prediction.hpp"
#include "rae/diffusion/time_distribution.hpp"
#include "rae/diffusion/time_shift.hpp"
#include "rae/ops/loss.hpp"
#include "rae/ops/norm.hpp"

namespace rae {

/// The quantity that the network learns to predict, the path, and the weight of the loss.
struct FlowObjective {
  PathKind path = PathKind::linear;                  ///< from data to noise
  PathFormulas path_formulas = PathFormulas::exact;  ///< of the weights, see `PathFormulas`
  Prediction prediction = Prediction::velocity;      ///< the meaning of the network's output
  std::optional<LossWeighting> loss_weight{};        ///< absent: `default_loss_weight`

  /// The weight that is used.
  [[nodiscard]] LossWeighting weight() const noexcept;
};

/// `none`; for data `velocity`, since the error of the data counts little where noise dominates,
/// and the sampler divides it by sigma.
[[nodiscard]] constexpr LossWeighting default_loss_weight(Prediction prediction) noexcept {
  return prediction == Prediction::data ? LossWeighting::velocity : LossWeighting::none;
}

inline LossWeighting FlowObjective::weight() const noexcept {
  return loss_weight.value_or(default_loss_weight(prediction));
}

/// Times at which the objective is trained, before the shift: [0, 1 - eps], and [eps, 1 - eps]
/// where sigma = 0 is singular: for noise and score on the linear and GVP paths, and for data with
/// the weight `likelihood`. `eps` absent: 1e-5 on the VP path, 1e-3 on the others. These are the
/// official intervals (`Transport.check_interval`). Throws ArgumentError for eps outside [0, 0.5).
[[nodiscard]] TimeInterval training_interval(const FlowObjective& objective,
                                             std::optional<double> eps = {});

/// Throws ConfigError, which begins with `where` and names the reason, unless the loss is finite
/// and its weight is not negative at all times of the distribution, shifted by `shift`.
void require_trainable(const FlowObjective& objective, const TimeDistribution& time, double shift,
                       const std::string& where);

/// One batch of the objective. The residual of the loss is base + gate * output - target.
template <Real T>
struct FlowTarget {
  Tensor<T> x;       ///< (B, C, h, w): input of the network, x_t = alpha(t) data + sigma(t) noise
  Tensor<T> target;  ///< (B, C, h, w)
  Tensor<T> gate{};  ///< (B, C*h*w), one factor for all elements of a sample; empty: 1
  Tensor<T> base{};  ///< (B, 1, C*h*w); empty where `gate` is
};

/// x_t and the target for data and noise (B, C, h, w) at times t (B). Throws ShapeError, and
/// ArgumentError where the objective is infinite or its weight negative.
///
/// With weight w(t) the residual is sqrt(w) (output - target). Data prediction with the weight
/// `velocity` compares velocities instead: the one that the sampler computes from output and x_t,
/// with the divisor max(sigma, 0.05), and alpha' data + sigma' noise.
template <Real T>
[[nodiscard]] FlowTarget<T> flow_target(const FlowObjective& objective, const Tensor<T>& data,
                                        const Tensor<T>& noise, const Tensor<T>& t) {
  return with_path(
      objective.path, objective.path_formulas, [&]<Path P>(const P& path) -> FlowTarget<T> {
        FlowTarget<T> out{interpolate(path, data, noise, t), {}};
        const Prediction prediction = objective.prediction;
        const LossWeighting weight = objective.weight();
        if (prediction == Prediction::velocity) {  // of weight 1, whichever is asked for
          out.target = path_velocity(path, data, noise, t);
          return out;
        }
        if (weight == LossWeighting::none && prediction != Prediction::score) {
          out.target = prediction == Prediction::data ? data : noise;
          return out;
        }
        const index_t samples = data.extent(0), size = data.numel() / samples;
        out.gate = Tensor<T>(Shape{samples, size});
        out.base = Tensor<T>::zeros(Shape{samples, 1, size});
        T *gates = out.gate.data(), *bases = out.base.data();
        if (prediction == Prediction::data && weight == LossWeighting::velocity) {
          out.target = path_velocity(path, data, noise, t);
          for (index_t b = 0; b < samples; ++b) {
            const detail::Factors f = detail::velocity_factors(
                path, prediction, static_cast<double>(t[b]), kDataPredictionFloor);
            fill_elements(gates + b * size, size, static_cast<T>(f.second));
            for (index_t i = 0; i < size; ++i)
              bases[b * size + i] = static_cast<T>(f.first) * out.x[b * size + i];
          }
          return out;
        }
        const auto root = [&](double s) {
          const double w = loss_weight(path, prediction, weight, s);
          if (w < 0.0)
            raise<ArgumentError>("the weight is negative at t = ", s, " (", w,
                                 "), which drives the output away from its target; ",
                                 "path_formulas: exact has the right sign");
          return math::sqrt(w);
        };
        for (index_t b = 0; b < samples; ++b)
          fill_elements(gates + b * size, size, static_cast<T>(root(static_cast<double>(t[b]))));
        out.target = Tensor<T>(data.shape());
        detail::combine_samples<T>("flow_target", data, noise, t, out.target.data(),
                                   [&](double s) -> detail::Factors {
                                     if (prediction == Prediction::data) return {root(s), 0.0};
                                     if (prediction == Prediction::noise) return {0.0, root(s)};
                                     return {0.0, -root(s) / path.sigma(s)};
                                   });
        return out;
      });
}

/// The mean over samples and elements of w(t) (output - target)^2, where output is that of
/// `network`, a callable that maps (Var x (B, C, h, w), t (B), labels (B)) to (B, C, h, w), at x_t.
/// data and noise (B, C, h, w), t (B). Throws as `flow_target` and as the network.
template <class Network, Real T>
[[nodiscard]] Var<T> flow_loss(const Network& network, const Tensor<T>& data,
                               const Tensor<T>& noise, const Tensor<T>& t,
                               std::span<const std::int64_t> labels,
                               const FlowObjective& objective) {
  const FlowTarget<T> goal = flow_target(objective, data, noise, t);
  const Var<T> output = network(Var<T>(goal.x), t, labels);  // (B, C, h, w)
  if (goal.gate.empty()) return mse_loss(output, goal.target);
  const Shape rows = goal.base.shape();  // (B, 1, C*h*w)
  const Var<T> residual = gated_add(Var<T>(goal.base), whole(Var<T>(goal.gate)),
                                    reshape(output, rows));  // (B, 1, C*h*w)
  return mse_loss(residual, goal.target.reshaped(rows));
}

}  // namespace rae
