#include "pipeline/flow_sampling.hpp"

#include <utility>

namespace rae::detail {
namespace {

using VelocityAt = std::function<Tensor<float>(const Tensor<float>& x, float t)>;
using OnStep = std::function<bool(const StepInfo&)>;

/// The network's velocity for some labels.
VelocityAt velocity_for(const Network& network, const FlowSampling& how, std::span<const std::int64_t> labels) {
  return with_path(how.path, how.formulas, [&](const auto& path) -> VelocityAt {
    return velocity_of(path, how.prediction, [&network, labels](const Tensor<float>& x, float t) { return network(x, t, labels); });
  });
}

SdeOptions sde_options(const FlowSampling& how) {
  SdeOptions out = how.sde;
  out.prediction = how.prediction;
  return out;
}

Tensor<float> integrate(const VelocityAt& velocity, const FlowSampling& how, Tensor<float> noise, const OnStep& on_step,
                        const StepNoise& step_noise) {
  if (how.kind == SamplerKind::sde)
    return with_path(how.path, how.formulas, [&](const auto& path) {
      return sample_sde(velocity, std::move(noise), how.grid, step_noise, sde_options(how), on_step, path);
    });
  if (how.solver.is_adaptive()) return sample(velocity, std::move(noise), how.grid, how.solver.adaptive(), how.control, on_step);
  return sample(velocity, std::move(noise), how.grid, how.solver.fixed(), on_step, how.corrector);
}

}  // namespace

void require_flow_sampling(const FlowSampling& how) {
  require_guidance(how.guidance);
  if (how.autoguidance) require_guidance(*how.autoguidance);
  require_step_control(how.control);
  if (how.kind == SamplerKind::sde)
    with_path(how.path, how.formulas, [&](const auto& path) { require_sde(path, sde_options(how), std::span<const float>(how.grid)); });
}

Tensor<float> sample_flow(const Network& network, const FlowSampling& how, Tensor<float> noise, std::span<const std::int64_t> labels,
                          const OnStep& on_step, const Network& guide, const StepNoise& step_noise) {
  const VelocityAt main = velocity_for(network, how, labels);
  if (how.autoguidance && how.autoguidance->scale != 1.0f)
    return integrate(guided(main, velocity_for(guide, how, labels), *how.autoguidance), how, std::move(noise), on_step, step_noise);
  if (how.guidance.scale == 1.0f) return integrate(main, how, std::move(noise), on_step, step_noise);
  const std::vector<std::int64_t> nobody(labels.size(), how.null_label);
  return integrate(guided(main, velocity_for(network, how, nobody), how.guidance), how, std::move(noise), on_step, step_noise);
}

}  // namespace rae::detail
