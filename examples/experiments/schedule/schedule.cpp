// Experiment `schedule`: the time shift that latents of a dimension need.
//
// Diffusion Transformers with Representation Autoencoders (arXiv 2510.11690), section 4,
// "dimension-dependent noise schedule shift": alpha = sqrt(m / n) for m = C h w, n = 4096.
#include <algorithm>
#include <cmath>
#include <memory>

#include "frame/encoders.hpp"
#include "frame/pictures.hpp"
#include "rae/diffusion/sampler.hpp"
#include "rae/diffusion/time_grid.hpp"
#include "rae/kernels/gemm.hpp"
#include "rae/metrics/frechet.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/train/flow_trainer.hpp"
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
  Tensor<float> train, test;  // (N, C, h, w)
  std::vector<std::int64_t> labels;
  index_t classes;
};

/// Encodes the pictures with encoder number `i`: that of a model, or a random one.
Latents latents_of(const Options& options, const SchedulePlan& plan, std::size_t i) {
  index_t size = kRandomSize;
  Latents out;
  Encode encode;
  if (!options.models.empty()) {
    size = model_picture_size(options.models[i]);
    encode = encoder_of_model(options.models[i]);
  }
  const auto train = open_pictures(options, Split::train, size),
             test = open_pictures(options, Split::test, size);
  const Tensor<float> pictures = first_pictures(*train, plan.train);  // (N, 3, H, W)
  if (options.models.empty()) encode = random_encoder(plan.tokens[i], pictures);
  out.train = encode_all(encode, pictures);
  out.test = encode_all(encode, first_pictures(*test, plan.test));
  for (index_t n = 0; n < out.train.extent(0); ++n) out.labels.push_back(train->label(n));
  out.classes = static_cast<index_t>(train->class_names().size());
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
  const Shape all = data.train.shape();  // (N, C, h, w)
  const index_t size = all.numel() / all[0];
  // At least as wide as a token, and divisible into heads of 16.
  const index_t head = std::max(plan.head, (all[1] + 15) / 16 * 16);
  const Backbone backbone = DitDhConfig{.grid_h = all[2],
                                        .grid_w = all[3],
                                        .in_channels = all[1],
                                        .hidden_size = {plan.backbone, head},
                                        .depth = {plan.depth, 2},
                                        .num_heads = {plan.backbone / 16, head / 16},
                                        .num_classes = data.classes};
  FlowOptions flow;
  flow.time_shift = shift;
  const TrainingOptions training{.steps = plan.steps,
                                 .batch_size = plan.batch,
                                 .lr = 1e-3,
                                 .final_lr = 1e-5,
                                 .warmup_steps = plan.steps / 20,
                                 .ema_decay = 0.99,
                                 .seed = seed};
  const auto batch_of = [&](index_t i) {
    LatentBatch batch{Tensor<float>(Shape{plan.batch, all[1], all[2], all[3]}),
                      {},
                      static_cast<std::uint64_t>(i * plan.batch)};
    const Philox random(seed, (std::uint64_t{1} << 50) + static_cast<std::uint64_t>(i));
    for (index_t b = 0; b < plan.batch; ++b) {
      const auto n = static_cast<index_t>(
          random.below(static_cast<std::uint64_t>(b), static_cast<std::uint64_t>(all[0])));
      copy_elements(data.train.data() + n * size, size, batch.latents.data() + b * size);
      batch.labels.push_back(data.labels[static_cast<std::size_t>(n)]);
    }
    return batch;
  };
  const auto network = train_flow(batch_of, backbone, flow, training, {.stage = "schedule"});

  constexpr index_t kBatch = 100;
  const std::vector<float> grid = full_time_grid(plan.sampling_steps, shift);
  FeatureStatistics drawn(plan.projection);
  for (index_t begin = 0; begin < plan.samples; begin += kBatch) {
    const index_t n = std::min(kBatch, plan.samples - begin);
    Tensor<float> noise(Shape{n, all[1], all[2], all[3]});  // (n, C, h, w)
    Philox(seed + 500, static_cast<std::uint64_t>(begin)).fill_normal(noise.span());
    std::vector<std::int64_t> labels;
    for (index_t b = 0; b < n; ++b) labels.push_back((begin + b) % data.classes);
    const Tensor<float> latents =
        sample<float>([&](const Tensor<float>& x,
                          float t) { return (*network)(x, Tensor<float>(Shape{n}, t), labels); },
                      std::move(noise), grid);
    drawn.merge(projected(latents, plan.projection));
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
    const index_t dimension = data->train.numel() / data->train.extent(0);
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
