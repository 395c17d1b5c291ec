// Experiment `samplers`: quality over the evaluations of the network, for every method of the
// deterministic sampler and for steps that share the backbone's output.
//
// Diffusion Transformers with Representation Autoencoders (arXiv 2510.11690), section 4 and
// appendix: 50 Euler steps. Shared backbone: Wang et al. 2025, "DDT: Decoupled Diffusion
// Transformer", section 4.
#include <algorithm>
#include <utility>

#include "frame/finished_model.hpp"
#include "rae/metrics/psnr.hpp"
#include "samplers/plan.hpp"

namespace {

using namespace rae;
using namespace rae::experiments;

constexpr std::uint64_t kSeed = 500;  // of the noise, the same for all methods

SamplersPlan plan_of(const Options& options) {
  SamplersPlan plan;
  if (options.quick) {
    plan.evaluations = {8, 16};
    plan.reference_steps = 50;
    plan.tolerances = {0.1, 0.01};
    plan.reuse_steps = 8;
    plan.reuse = {0.2};
    plan.samples = 32;
    plan.pairs = 8;
  }
  return plan;
}

/// A method with its setting.
struct Method {
  std::string name;
  double setting;  ///< steps, tolerance, or limit of the backbone's change
  double cost;     ///< expected evaluations
  GenerateOptions how;
};

Method fixed_method(const OdeSolver& solver, index_t steps, index_t evaluations) {
  GenerateOptions how;
  how.solver = solver;
  how.steps = steps;
  return {std::string(name_of(solver)), static_cast<double>(steps),
          static_cast<double>(evaluations), how};
}

std::vector<Method> methods_of(const SamplersPlan& plan, bool has_head) {
  std::vector<Method> out;
  out.push_back(fixed_method(Solver::euler, plan.reference_steps, plan.reference_steps));
  for (const Solver solver : {Solver::euler, Solver::midpoint, Solver::heun, Solver::heun3,
                              Solver::rk4, Solver::explicit_adams, Solver::implicit_adams,
                              Solver::dpmpp_2m, Solver::dpmpp_3m, Solver::unipc, Solver::ab2})
    for (const index_t evaluations : plan.evaluations)
      out.push_back(fixed_method(solver, evaluations / evaluations_per_step(solver), evaluations));
  for (const AdaptiveSolver solver :
       {AdaptiveSolver::adaptive_heun, AdaptiveSolver::fehlberg2, AdaptiveSolver::bosh3,
        AdaptiveSolver::dopri5, AdaptiveSolver::dopri8})
    for (const double tolerance : plan.tolerances) {
      GenerateOptions how;
      how.solver = solver;
      how.steps = 1;
      how.atol = how.rtol = tolerance;
      out.push_back({std::string(name_of(solver)), tolerance, 50, how});
    }
  if (!has_head) return out;
  for (const double limit : plan.reuse) {
    Method method = fixed_method(Solver::euler, plan.reuse_steps, plan.reuse_steps);
    method.name = kReuse;
    method.setting = method.how.reuse_error = limit;
    out.push_back(std::move(method));
  }
  return out;
}

/// Draws as `draw` does, and keeps the first pictures in `kept` (N, C, H, W), which must outlive
/// the result.
DrawPictures keeping(DrawPictures draw, Tensor<float>& kept) {
  return [draw = std::move(draw), &kept](const std::vector<std::int64_t>& labels, index_t first) {
    const Tensor<float> pictures = draw(labels, first);  // (B, C, H, W)
    const index_t size = pictures.numel() / pictures.extent(0),
                  count = std::min(pictures.extent(0), kept.extent(0) - first);
    if (count > 0) copy_elements(pictures.data(), count * size, kept.data() + first * size);
    return pictures;
  };
}

/// Samples with the same noise by several methods.
class Samples {
 public:
  Samples(const SamplersPlan& plan, const Bundle& model, const Judge& judge)
      : plan_(plan), generator_(model), judge_(judge), picture_(model.config.image_shape()) {}

  /// The scores of a method; those of one that diverges have no distance and no PSNR.
  ConfigNode measure(const Method& method) {
    if (reference_.empty())
      (void)draw(fixed_method(Solver::euler, plan_.reference_steps, 0), plan_.pairs, reference_);
    SamplingReport report;
    GenerateOptions how = method.how;
    how.report = &report;
    Tensor<float> kept;  // (N, C, H, W)
    try {
      const PictureScore score = draw({method.name, 0, 0, how}, plan_.samples, kept);
      const auto n = static_cast<double>(plan_.samples);
      return ConfigNode::map(
          {{"evaluations", static_cast<double>(report.model.backbones) / n},
           {"heads", static_cast<double>(report.model.evaluations) / n},
           {"distance", score.distance},
           {"psnr", psnr(std::as_const(kept).view(), std::as_const(reference_).view())}});
    } catch (const NumericError&) {  // explicit_adams is stable only for short steps
      return ConfigNode::map({{"evaluations", method.cost}, {"heads", method.cost}});
    }
  }

 private:
  /// Draws `count` samples; `kept` receives the first ones, clamped to [0, 1].
  PictureScore draw(Method method, index_t count, Tensor<float>& kept) const {
    GenerateOptions& how = method.how;
    how.seed = kSeed;
    how.kind = SamplerKind::ode;
    how.grid = TimeGridKind::full;
    how.guidance = Cfg{};
    kept = Tensor<float>(Shape{plan_.pairs, picture_[0], picture_[1], picture_[2]});
    PictureScore out = judge_.score_samples(count, keeping(drawn_by(generator_, how), kept));
    for (float& value : kept.span()) value = std::clamp(value, 0.0f, 1.0f);
    return out;
  }

  const SamplersPlan& plan_;
  Generator generator_;
  const Judge& judge_;
  Shape picture_;            // (C, H, W)
  Tensor<float> reference_;  // (N, C, H, W), or empty until it is needed
};

void run(const Options& options) {
  const SamplersPlan plan = plan_of(options);
  const FinishedModel model = finished_model(options);
  const Judge judge = Judge::open(options, model.train, *model.test);
  Samples samples(plan, model.bundle, judge);
  std::vector<Point> points;
  for (const Method& method : methods_of(plan, model.bundle.config.dit->has_head()))
    points.push_back({ConfigNode::map({{"method", method.name}, {"setting", method.setting}}),
                      method.cost, [&samples, method] { return samples.measure(method); }});
  ConfigNode settings = settings_of(model, judge);
  settings.set("samples", plan.samples);
  settings.set("pairs", plan.pairs);
  settings.set("reference_steps", plan.reference_steps);
  const auto results = measure_points(options, settings, points);
  write_finding(
      options,
      samplers_finding(
          plan, {model.bundle.config.name, judge.score_training(plan.samples).distance}, results));
}

}  // namespace

int main(int argc, char** argv) { return run_experiment(argc, argv, "samplers", run); }
