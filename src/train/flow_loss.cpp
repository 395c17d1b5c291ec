#include "rae/train/flow_loss.hpp"

#include <array>

namespace rae {

TimeInterval training_interval(const FlowObjective& objective, std::optional<double> eps) {
  const bool vp = objective.path == PathKind::vp;
  const double margin = eps.value_or(vp ? 1e-5 : 1e-3);
  if (!(margin >= 0.0 && margin < 0.5))
    raise<ArgumentError>("training times: expected train_eps in [0, 0.5), got ", margin);
  const Prediction p = objective.prediction;
  const bool singular =
      !vp && (p == Prediction::noise || p == Prediction::score ||
              (p == Prediction::data && objective.weight() == LossWeighting::likelihood));
  return {singular ? margin : 0.0, 1.0 - margin};
}

void require_trainable(const FlowObjective& objective, const TimeDistribution& time, double shift,
                       const std::string& where) {
  const auto [low, high] = time.interval();
  const auto shifted = [shift](double t) { return time_shift(static_cast<float>(t), shift); };
  try {
    require_time_shift(shift);
    // Where a loss is singular, it is so at an end of the path.
    for (const float t : std::array{shifted(low), shifted((low + high) / 2), shifted(high)}) {
      const Tensor<float> latent = Tensor<float>::zeros(Shape{1, 1, 1, 1});  // (B, C, h, w)
      (void)flow_target(objective, latent, latent, Tensor<float>(Shape{1}, t));
    }
  } catch (const ArgumentError& error) {
    raise<ConfigError>(where, ": path ", name_of(objective.path), ", prediction ",
                       name_of(objective.prediction), " and loss weight ",
                       name_of(objective.weight()), " cannot be trained: ", error.what());
  }
}

}  // namespace rae
