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
#include "rae/models/backbone.hpp"
#include "rae/ops/elementwise.hpp"
#include "rae/ops/loss.hpp"
#include "rae/ops/norm.hpp"

namespace rae {

/// The quantity that the network learns to predict, the path, and the weight of the loss.
struct FlowObjective {
  PathKind path = PathKind::linear;                  ///< from data to noise
  PathFormulas path_formulas = PathFormulas::exact;  ///< of the weights, see `PathFormulas`
  Prediction prediction = Prediction::velocity;      ///< the meaning of the network's output
  std::optional<LossWeighting> loss_weight{};        ///< absent: `default_loss_weight`
  /// The target is (x_t - data) / max(t, floor), as in RAEv2, for a network that predicts data or
  /// velocity on the linear path; the residual of a data prediction is divided by the same. For
  /// times above the floor that is the velocity of the path.
  bool floored_target = false;
  double floor = kDataPredictionFloor;  ///< smallest divisor of data prediction

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

namespace detail {
/// Sets target, gate and base for `FlowObjective::floored_target`, given x_t.
template <Real T>
void fill_floored(const FlowObjective& objective, const Tensor<T>& data, const Tensor<T>& t,
                  FlowTarget<T>& out) {
  const bool of_data = objective.prediction == Prediction::data;
  if (objective.path != PathKind::linear ||
      (!of_data && objective.prediction != Prediction::velocity))
    raise<ArgumentError>(
        "a floored target needs the linear path and a network that predicts data or velocity");
  const index_t samples = data.extent(0), size = data.numel() / samples;
  out.target = Tensor<T>(data.shape());
  if (of_data) {
    out.gate = Tensor<T>(Shape{samples, size});
    out.base = Tensor<T>(Shape{samples, 1, size});
  }
  const T* x = std::as_const(out.x).data();
  for (index_t b = 0; b < samples; ++b) {
    const T divisor = math::max(t[b], static_cast<T>(objective.floor));
    for (index_t i = b * size; i < (b + 1) * size; ++i) {
      out.target.data()[i] = (x[i] - data[i]) / divisor;
      if (!of_data) continue;
      out.gate.data()[i] = T(-1) / divisor;
      out.base.data()[i] = x[i] / divisor;
    }
  }
}
}  // namespace detail

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
        if (objective.floored_target) {
          detail::fill_floored(objective, data, t, out);
          return out;
        }
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
                path, prediction, static_cast<double>(t[b]), objective.floor);
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

/// The mean over samples and elements of the squared residual for an output (B, C, h, w): a scalar.
template <Real T>
[[nodiscard]] Var<T> error_of(const FlowTarget<T>& goal, const Var<T>& output) {
  if (goal.gate.empty()) return mse_loss(output, goal.target);
  const Shape rows = goal.base.shape();  // (B, 1, C*h*w)
  const Var<T> residual = gated_add(Var<T>(goal.base), whole(Var<T>(goal.gate)),
                                    reshape(output, rows));  // (B, 1, C*h*w)
  return mse_loss(residual, goal.target.reshaped(rows));
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
  return error_of(goal, network(Var<T>(goal.x), t, labels));
}

/// Weights of the further terms of a loss. Their defaults are those of RAEv2 (arXiv 2605.18324).
struct FurtherLosses {
  double base = 1.0;   ///< of the error of the base head; 0: it is not trained
  double align = 0.5;  ///< of REPA, the mean squared difference from the target features; 0: none
};

/// The terms of `flow_losses`, scalars.
template <Real T>
struct FlowLosses {
  Var<T> total;    ///< flow + weights.base * base + weights.align * align
  Var<T> flow{};   ///< of the prediction
  Var<T> base{};   ///< of the base head, without its weight; empty without one
  Var<T> align{};  ///< of REPA, without its weight; empty without target features
};

/// The loss of a network with a base head and a projection for REPA, of which either may be absent.
/// `network` maps (Var x (B, C, h, w), t (B), labels (B), WantedOutputs) to NetworkOutputs of the
/// same forward pass; `features` (B, N, z) are the target of the projection, or empty. Throws as
/// `flow_loss`, and ShapeError for features of another shape.
template <class Network, Real T>
[[nodiscard]] FlowLosses<T> flow_losses(const Network& network, const Tensor<T>& data,
                                        const Tensor<T>& noise, const Tensor<T>& t,
                                        std::span<const std::int64_t> labels,
                                        const FlowObjective& objective, const Tensor<T>& features,
                                        const FurtherLosses& weights = {}, bool has_base = true) {
  const FlowTarget<T> goal = flow_target(objective, data, noise, t);
  const WantedOutputs wanted{.base = has_base && weights.base > 0,
                             .aligned = !features.empty() && weights.align > 0};
  const NetworkOutputs<Var<T>> output = network(Var<T>(goal.x), t, labels, wanted);
  FlowLosses<T> out{error_of(goal, output.full)};
  out.flow = out.total;
  if (wanted.base) {
    out.base = error_of(goal, output.base);
    out.total = add(out.total, scale(out.base, static_cast<T>(weights.base)));
  }
  if (wanted.aligned) {
    out.align = mse_loss(output.aligned, features);
    out.total = add(out.total, scale(out.align, static_cast<T>(weights.align)));
  }
  return out;
}

}  // namespace rae
