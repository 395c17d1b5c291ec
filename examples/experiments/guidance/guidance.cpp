// Experiment `guidance`: fidelity and diversity over the scale of classifier-free guidance, of the
// same in an interval of flow time, and of autoguidance.
//
// Diffusion Transformers with Representation Autoencoders (arXiv 2510.11690), section 5. The
// interval: Kynkäänniemi et al. 2024, "Applying guidance in a limited interval improves sample and
// distribution quality in diffusion models", figure 2; its noise levels sigma are the flow times
// sigma / (1 + sigma). Precision and recall: rae/metrics/precision_recall.hpp.
#include <algorithm>
#include <utility>

#include "guidance/plan.hpp"
#include "rae/metrics/precision_recall.hpp"

namespace {

using namespace rae;
using namespace rae::experiments;

GuidancePlan plan_of(const Options& options) {
  GuidancePlan plan;
  if (options.quick) {
    plan.scales = {1.5, 3};
    plan.samples = 64;
    plan.seeds = 1;
    plan.weak = {.steps = 10, .batch = 16};
  }
  return plan;
}

/// `count` rows of `rows` (N, F), evenly spaced, or all when there are fewer.
Tensor<float> spread_rows(const Tensor<float>& rows, index_t count) {
  const index_t n = rows.extent(0), width = rows.extent(1);
  count = std::min(count, n);
  Tensor<float> out(Shape{count, width});  // (count, F)
  for (index_t i = 0; i < count; ++i)
    copy_elements(rows.data() + i * n / count * width, width, out.data() + i * width);
  return out;
}

GenerateOptions guided_by(const GuidancePlan& plan, const std::string& method, double scale) {
  const auto s = static_cast<float>(scale);
  GenerateOptions out;
  out.steps = plan.steps;
  out.guidance = Cfg{};
  if (method == kCfg) out.guidance = Cfg{.scale = s};
  if (method == kInterval)
    out.guidance = Cfg{s, static_cast<float>(plan.low), static_cast<float>(plan.high)};
  if (method == kAutoguidance) out.autoguidance = AutoGuidance{.scale = s};
  return out;
}

ConfigNode measure(const GuidancePlan& plan, const Generator& generator, const Judge& judge,
                   const Tensor<float>& real, const ConfigNode& at) {
  GenerateOptions how = guided_by(plan, at.get<std::string>("method"), at.get<double>("scale"));
  how.seed = static_cast<std::uint64_t>(500 + at.get<index_t>("seed"));
  const PictureScore score = judge.score_samples(plan.samples, drawn_by(generator, how));
  const PrecisionRecall manifold = precision_recall(score.features.view(), real.view());
  return ConfigNode::map({{"distance", score.distance},
                          {"consistency", score.consistency},
                          {"precision", manifold.precision},
                          {"recall", manifold.recall}});
}

ConfigNode settings_of(const GuidancePlan& plan, const Options& options, ConfigNode settings) {
  settings.set("samples", plan.samples);
  settings.set("steps", plan.steps);
  settings.set("low", plan.low);
  settings.set("high", plan.high);
  if (options.weak.empty()) {
    settings.set("weak_steps", plan.weak.steps);
    settings.set("weak_batch", plan.weak.batch);
  } else {
    settings.set("weak", identity_of(options.weak));
  }
  return settings;
}

void run(const Options& options) {
  const GuidancePlan plan = plan_of(options);
  const FinishedModel model = finished_model(options);
  if (!model.bundle.config.has_null_class())
    raise<ConfigError>(model.bundle.origin, ": has no null class, which CFG needs");
  const Judge judge = Judge::open(options, model.train, *model.test);
  const Bundle guided = with_guide(options, model, plan.weak);
  const Generator generator(guided);
  const Tensor<float> real = spread_rows(judge.real_features(), plan.samples);  // (M, F)
  std::vector<Point> points;
  const auto add = [&](const char* method, double scale, index_t seed, double cost) {
    const ConfigNode at = ConfigNode::map({{"method", method}, {"scale", scale}, {"seed", seed}});
    points.push_back({at, cost, [&, at] { return measure(plan, generator, judge, real, at); }});
  };
  for (index_t seed = 0; seed < plan.seeds; ++seed) {
    add(kNoGuidance, 1, seed, 1);
    for (const double scale : plan.scales) {
      add(kCfg, scale, seed, 2);
      add(kInterval, scale, seed, 1.6);
      add(kAutoguidance, scale, seed, 1.5);
    }
  }
  const auto results = measure_points(
      options, settings_of(plan, options, rae::experiments::settings_of(model, judge)), points);
  const GuidanceContext context{model.bundle.config.name,
                                options.weak.empty()
                                    ? concat("a ", guided.config.guide->title(),
                                             " of the same widths and a third of the depth after ",
                                             plan.weak.steps, " steps of ", plan.weak.batch)
                                    : "the diffusion network of --weak",
                                judge.score_training(plan.samples).distance, judge.accuracy()};
  write_finding(options, guidance_finding(plan, context, results));
}

}  // namespace

int main(int argc, char** argv) { return run_experiment(argc, argv, "guidance", run); }
