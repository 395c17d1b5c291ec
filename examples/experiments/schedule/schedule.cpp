// Experiment `schedule`: the time shift that latents of a dimension need.
//
// Diffusion Transformers with Representation Autoencoders (arXiv 2510.11690), section 4,
// "dimension-dependent noise schedule shift": alpha = sqrt(m / n) for m = C h w, n = 4096.
#include <algorithm>
#include <cmath>
#include <memory>

#include "frame/frozen_encoder.hpp"
#include "frame/latent_training.hpp"
#include "frame/pictures.hpp"
#include "rae/diffusion/time_grid.hpp"
#include "rae/kernels/gemm.hpp"
#include "rae/metrics/frechet.hpp"
#include "schedule/plan.hpp"

namespace {

using namespace rae;
using namespace rae::experiments;

SchedulePlan plan_of(const Options& options) {
  SchedulePlan plan;
  if (options.quick) {
    plan.tokens = {16, 32};
    plan.shifts = {1, 2, 4};
    plan.seeds = 1;
    plan.train = plan.test = plan.samples = 64;
    plan.projection = 8;
    plan.steps = 20;
    plan.batch = 8;
    plan.sampling_steps = 4;
    plan.backbone = 16;
    plan.head = 32;
    plan.depth = 1;
  }
  return plan;
}

/// Training and test latents of one encoder.
struct Latents {
  Representation train;
  Tensor<float> test;  // (N, C, h, w)
  index_t classes;
};

/// Encodes the pictures with encoder number `i`: that of a model, or a random one.
Latents latents_of(const Options& options, const SchedulePlan& plan, std::size_t i) {
  const auto part = [&](Split split, index_t count) {
    return evenly_spaced(open_pictures(options, split, kRandomSize), count);
  };
  const auto train = part(Split::train, plan.train), test = part(Split::test, plan.test);
  const Encode encode =
      encode_of(options.models.empty() ? random_encoder(plan.tokens[i])
                                       : encoder_of(options.models[i], kRandomSize));
  Latents out{represent(*train, encode), encode_all(*test, encode),
              static_cast<index_t>(train->class_names().size())};
  out.test = out.train.norm.normalize(out.test);
  return out;
}

/// Mean and covariance of latents (N, C, h, w) after a fixed random projection of their C h w
/// elements to `dimension` numbers.
FeatureStatistics projected(const Tensor<float>& latents, index_t dimension) {
  const index_t n = latents.extent(0), m = latents.numel() / n;
  Tensor<float> directions(Shape{m, dimension}), out(Shape{n, dimension});  // (m, K), (N, K)
  Philox(11).fill_normal(directions.span());
  for (float& value : directions.span()) value /= std::sqrt(static_cast<float>(m));
  gemm<float>(latents.reshaped({n, m}).view(), std::as_const(directions).view(), out.view());
  FeatureStatistics statistics(dimension);
  statistics.update(std::as_const(out).view());
  return statistics;
}

/// Trains with this shift, samples with it, and compares with the test latents.
ConfigNode measure(const SchedulePlan& plan, const Latents& data, double shift,
                   std::uint64_t seed) {
  const Shape latent = data.train.shape();  // (C, h, w)
  const Backbone backbone =
      dit_dh({.backbone = plan.backbone, .depth = plan.depth, .head = plan.head, .head_width = 16},
             latent, data.classes);
  FlowOptions flow;
  flow.time_shift = shift;
  const TrainingOptions training{.steps = plan.steps,
                                 .batch_size = plan.batch,
                                 .lr = 1e-3,
                                 .final_lr = 1e-5,
                                 .warmup_steps = plan.steps / 20,
                                 .ema_decay = 0.99,
                                 .seed = seed};
  const auto network = train_flow(random_batches(data.train, plan.batch, seed), backbone, flow,
                                  training, {.stage = "schedule"});

  constexpr index_t kBatch = 100;
  const std::vector<float> grid = full_time_grid(plan.sampling_steps, shift);
  FeatureStatistics drawn(plan.projection);
  for (index_t begin = 0; begin < plan.samples; begin += kBatch) {
    std::vector<std::int64_t> labels;
    for (index_t i = begin; i < std::min(plan.samples, begin + kBatch); ++i)
      labels.push_back(i % data.classes);
    drawn.merge(
        projected(draw_latents(*network, latent, grid, labels, begin, seed), plan.projection));
  }
  return ConfigNode::map(
      {{"distance", frechet_distance(drawn, projected(data.test, plan.projection))}});
}

void run(const Options& options) {
  SchedulePlan plan = plan_of(options);
  if (!options.models.empty()) plan.tokens.assign(options.models.size(), 0);
  std::vector<Point> points;
  std::vector<index_t> dimensions;
  for (std::size_t i = 0; i < plan.tokens.size(); ++i) {
    const auto data = std::make_shared<const Latents>(latents_of(options, plan, i));
    const index_t dimension = data->train.shape().numel();
    dimensions.push_back(dimension);
    for (index_t seed = 0; seed < plan.seeds; ++seed)
      for (const double shift : plan.shifts)
        points.push_back({ConfigNode::map({{"dimension", dimension},
                                           {"encoder", static_cast<index_t>(i)},
                                           {"shift", shift},
                                           {"seed", seed}}),
                          1.0, [=, &plan] {
                            return measure(plan, *data, shift, static_cast<std::uint64_t>(seed));
                          }});
  }
  const auto data = open_pictures(options, Split::train, kRandomSize);
  ConfigNode settings = ConfigNode::map({{"steps", plan.steps},
                                         {"batch", plan.batch},
                                         {"train", plan.train},
                                         {"test", plan.test},
                                         {"samples", plan.samples},
                                         {"sampling_steps", plan.sampling_steps},
                                         {"pictures", data->manifest().checksum()}});
  ConfigNode::List models;
  for (const std::string& model : options.models) models.emplace_back(model);
  settings.set("models", ConfigNode::list(std::move(models)));
  write_finding(options,
                schedule_finding(plan, dimensions, measure_points(options, settings, points)));
}

}  // namespace

int main(int argc, char** argv) { return run_experiment(argc, argv, "schedule", run); }
