#include "generate/flow_sampling.hpp"

#include <utility>

#include "rae/core/function.hpp"

namespace rae::detail {
namespace {

using VelocityAt = Function<Tensor<float>(const Tensor<float>& x, float t)>;
using OnStep = Function<bool(const StepInfo&)>;

/// The network's velocity for some labels.
VelocityAt velocity_for(const Network& network, const FlowSampling& how,
                        std::span<const std::int64_t> labels) {
  return with_path(how.path, how.formulas, [&](const auto& path) -> VelocityAt {
    return velocity_of(path, how.prediction, [&network, labels](const Tensor<float>& x, float t) {
      return network(x, t, labels);
    });
  });
}

SdeOptions sde_options(const FlowSampling& how) {
  SdeOptions out = how.sde;
  out.prediction = how.prediction;
  return out;
}

Tensor<float> integrate(const VelocityAt& velocity, const FlowSampling& how, Tensor<float> noise,
                        const OnStep& on_step, const StepNoise& step_noise) {
  if (how.kind == SamplerKind::sde)
    return with_path(how.path, how.formulas, [&](const auto& path) {
      return sample_sde(velocity, std::move(noise), how.grid, step_noise, sde_options(how), on_step,
                        path);
    });
  if (how.solver.is_adaptive())
    return sample(velocity, std::move(noise), how.grid, how.solver.adaptive(), how.control,
                  on_step);
  return sample(velocity, std::move(noise), how.grid, how.solver.fixed(), on_step, how.corrector);
}

}  // namespace

void require_flow_sampling(const FlowSampling& how) {
  require_guidance(how.guidance);
  if (how.autoguidance) require_guidance(*how.autoguidance);
  require_step_control(how.control);
  if (how.kind == SamplerKind::sde)
    with_path(how.path, how.formulas, [&](const auto& path) {
      require_sde(path, sde_options(how), std::span<const float>(how.grid));
    });
}

Tensor<float> sample_flow(const Network& network, const FlowSampling& how, Tensor<float> noise,
                          std::span<const std::int64_t> labels, const OnStep& on_step,
                          const Network& guide, const StepNoise& step_noise) {
  const VelocityAt main = velocity_for(network, how, labels);
  if (how.autoguidance && how.autoguidance->scale != 1.0f)
    return integrate(guided(main, velocity_for(guide, how, labels), *how.autoguidance), how,
                     std::move(noise), on_step, step_noise);
  if (how.guidance.scale == 1.0f)
    return integrate(main, how, std::move(noise), on_step, step_noise);
  // Both evaluations of a guided step are one call of the network.
  std::vector<std::int64_t> pairs(labels.begin(), labels.end());
  pairs.resize(2 * labels.size(), how.null_label);
  const VelocityAt velocity = [&](const Tensor<float>& x, float t) -> Tensor<float> {
    if (!how.guidance.active(static_cast<double>(t))) return main(x, t);
    const Tensor<float> both = network(x, t, pairs);  // (2 B, C, h, w)
    require_shape("sample: a guided network's output", both.shape(),
                  x.shape().with(0, 2 * x.extent(0)));
    const auto half = [&](index_t i) {
      return with_path(how.path, how.formulas, [&](const auto& path) {
        const auto values = both.span().subspan(static_cast<std::size_t>(i * x.numel()),
                                                static_cast<std::size_t>(x.numel()));
        return to_velocity(path, how.prediction, Tensor<float>(x.shape(), values), x,
                           t);  // (B, C, h, w)
      });
    };
    Tensor<float> guided = half(0);  // (B, C, h, w)
    rae::guide(guided, half(1), static_cast<double>(how.guidance.scale));
    return guided;
  };
  return integrate(velocity, how, std::move(noise), on_step, step_noise);
}

}  // namespace rae::detail
