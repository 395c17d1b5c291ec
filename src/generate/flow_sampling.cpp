#include "generate/flow_sampling.hpp"

#include <utility>

#include "rae/core/function.hpp"

namespace rae::detail {
namespace {

using VelocityAt = Function<Tensor<float>(const Tensor<float>& x, float t)>;
using OnStep = Function<bool(const StepInfo&)>;

/// The network's velocity for these labels.
VelocityAt velocity_for(const Network& network, const FlowSampling& settings,
                        std::span<const std::int64_t> labels) {
  return with_path(settings.path, settings.formulas, [&](const auto& path) -> VelocityAt {
    return velocity_of(
        path, settings.prediction,
        [&network, labels](const Tensor<float>& x, float t) { return network(x, t, labels); },
        settings.floor);
  });
}

/// The network with internal guidance of its outputs, where that is active. The guidance is applied
/// to the network's own prediction, as in the official code.
Network internally_guided(const Network& network, const NetworkWithBase& with_base,
                          const FlowSampling& settings) {
  if (!settings.internal_guidance || !settings.internal_guidance->enabled()) return network;
  return [&network, &with_base, guidance = *settings.internal_guidance](
             const Tensor<float>& x, float t, std::span<const std::int64_t> labels) {
    const index_t images = x.extent(0), conditions = static_cast<index_t>(labels.size()) / images;
    const auto scale = [&](index_t i) {
      return i == 0 ? guidance.scale : guidance.without_label();
    };
    bool needed = false;
    for (index_t i = 0; i < conditions; ++i) needed = needed || scale(i) != 1.0f;
    if (!needed || !guidance.active(static_cast<double>(t))) return network(x, t, labels);
    NetworkOutputs<Tensor<float>> out = with_base(x, t, labels);  // (k B, C, h, w) each
    for (index_t i = 0; i < conditions; ++i)
      rae::guide(out.full.view().slice(0, i * images, images),
                 std::as_const(out.base).view().slice(0, i * images, images),
                 static_cast<double>(scale(i)));
    return std::move(out.full);
  };
}

SdeOptions sde_options(const FlowSampling& settings) {
  SdeOptions out = settings.sde;
  out.prediction = settings.prediction;
  return out;
}

/// The callback, or none, with the denoised estimate of the path and prediction.
OnStep with_estimate(const OnStep& on_step, const FlowSampling& settings) {
  if (!on_step) return {};
  return [&](const StepInfo& info) {
    StepInfo out = info;
    out.of_data = with_path(settings.path, settings.formulas, [&](const auto& path) {
      return data_factors(path, settings.prediction, static_cast<double>(info.start.t),
                          settings.floor);
    });
    return on_step(out);
  };
}

Tensor<float> integrate(const VelocityAt& velocity, const FlowSampling& settings,
                        Tensor<float> noise, const OnStep& each_step, const StepNoise& step_noise) {
  const OnStep on_step = with_estimate(each_step, settings);
  if (settings.kind == SamplerKind::sde)
    return with_path(settings.path, settings.formulas, [&](const auto& path) {
      return sample_sde(velocity, std::move(noise), settings.grid, step_noise,
                        sde_options(settings), on_step, path);
    });
  if (settings.solver.is_adaptive())
    return sample(velocity, std::move(noise), settings.grid, settings.solver.adaptive(),
                  settings.control, on_step);
  return with_path(settings.path, settings.formulas, [&](const auto& path) {
    return sample(velocity, std::move(noise), settings.grid, settings.solver.fixed(), on_step,
                  settings.corrector, path);
  });
}

}  // namespace

void require_flow_sampling(const FlowSampling& settings) {
  require_guidance(settings.guidance);
  if (settings.autoguidance) require_guidance(*settings.autoguidance);
  if (settings.internal_guidance) require_internal_guidance(*settings.internal_guidance);
  require_step_control(settings.control);
  if (settings.kind == SamplerKind::sde)
    with_path(settings.path, settings.formulas, [&](const auto& path) {
      require_sde(path, sde_options(settings), std::span<const float>(settings.grid));
    });
}

Tensor<float> sample_flow(const Network& plain, const FlowSampling& settings, Tensor<float> noise,
                          std::span<const std::int64_t> labels, const OnStep& on_step,
                          const Network& guide, const StepNoise& step_noise,
                          const NetworkWithBase& with_base) {
  const Network network = internally_guided(plain, with_base, settings);
  const VelocityAt main = velocity_for(network, settings, labels);
  if (settings.autoguidance && settings.autoguidance->scale != 1.0f)
    return integrate(guided(main, velocity_for(guide, settings, labels), *settings.autoguidance),
                     settings, std::move(noise), on_step, step_noise);
  if (settings.guidance.scale == 1.0f)
    return integrate(main, settings, std::move(noise), on_step, step_noise);
  // A guided step evaluates the network once, with and without labels.
  std::vector<std::int64_t> pairs(labels.begin(), labels.end());
  pairs.resize(2 * labels.size(), settings.null_label);
  const VelocityAt velocity = [&](const Tensor<float>& x, float t) -> Tensor<float> {
    if (!settings.guidance.active(static_cast<double>(t))) return main(x, t);
    const Tensor<float> both = network(x, t, pairs);  // (2 B, C, h, w)
    require_shape("sample: a guided network's output", both.shape(),
                  x.shape().with(0, 2 * x.extent(0)));
    const auto half = [&](index_t i) {
      return with_path(settings.path, settings.formulas, [&](const auto& path) {
        const auto values = both.span().subspan(static_cast<std::size_t>(i * x.numel()),
                                                static_cast<std::size_t>(x.numel()));
        return to_velocity(path, settings.prediction, Tensor<float>(x.shape(), values), x, t,
                           settings.floor);  // (B, C, h, w)
      });
    };
    Tensor<float> guided = half(0);  // (B, C, h, w)
    rae::guide(guided, half(1), static_cast<double>(settings.guidance.scale));
    return guided;
  };
  return integrate(velocity, settings, std::move(noise), on_step, step_noise);
}

}  // namespace rae::detail
