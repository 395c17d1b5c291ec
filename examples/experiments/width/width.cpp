// Experiment `width`: a DiT that is narrower than a token cannot even overfit one picture.
//
// Diffusion Transformers with Representation Autoencoders (arXiv 2510.11690), section 4: Table 3,
// Figure 3 and Theorem 1; section 5 for the head.
#include <algorithm>

#include "frame/frozen_encoder.hpp"
#include "frame/pictures.hpp"
#include "frame/representation.hpp"
#include "rae/metrics/token_spectrum.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/models/lightning_dit.hpp"
#include "rae/train/flow_trainer.hpp"
#include "width/plan.hpp"

namespace {

using namespace rae;
using namespace rae::experiments;

constexpr index_t kHead = 16;  // width of an attention head

WidthPlan plan_of(const Options& options) {
  WidthPlan plan;
  if (options.quick) {
    plan.tokens = plan.widths = {16, 32};
    plan.depths = {1, 2};
    plan.head = 48;
    plan.seeds = 2;
    plan.steps = 60;
    plan.batch = 8;
    plan.statistics = 16;
    plan.draws = 64;
  }
  return plan;
}

/// Everything but the settings of each point that decides the results.
ConfigNode settings_of(const WidthPlan& plan, const ImageDataset& data) {
  return ConfigNode::map({{"steps", plan.steps},
                          {"batch", plan.batch},
                          {"statistics", plan.statistics},
                          {"draws", plan.draws},
                          {"pictures", data.manifest().checksum()}});
}

/// `count` copies of a latent (1, C, h, w): (count, C, h, w).
Tensor<float> copies(const Tensor<float>& latent, index_t count) {
  Tensor<float> out(Shape{count, latent.extent(1), kRandomGrid, kRandomGrid});  // (B, C, h, w)
  for (index_t b = 0; b < count; ++b)
    copy_elements(latent.data(), latent.numel(), out.data() + b * latent.numel());
  return out;
}

/// The latent (1, C, h, w) of a picture, by a random encoder whose tokens have this width.
Tensor<float> latent_of(const ImageDataset& pictures, index_t chosen, index_t width) {
  const Representation space = represent(pictures, encode_of(random_encoder(width)));
  const index_t size = space.shape().numel();
  Tensor<float> out(space.latents.shape().with(0, 1));  // (1, C, h, w)
  copy_elements(space.latents.data() + chosen % pictures.size() * size, size, out.data());
  return out;
}

/// The DiT of a point; with a DDT head of `head` channels where that is not 0.
Backbone network_of(index_t tokens, index_t width, index_t depth, index_t head) {
  if (head == 0)
    return LightningDitConfig{.input_h = kRandomGrid,
                              .input_w = kRandomGrid,
                              .in_channels = tokens,
                              .hidden_size = width,
                              .depth = depth,
                              .num_heads = width / kHead,
                              .num_classes = 1,
                              .class_dropout_prob = 0};
  return DitDhConfig{.grid_h = kRandomGrid,
                     .grid_w = kRandomGrid,
                     .in_channels = tokens,
                     .hidden_size = {width, head},
                     .depth = {depth, 2},
                     .num_heads = {width / kHead, head / kHead},
                     .num_classes = 1,
                     .class_dropout_prob = 0};
}

/// The loss of a network that was trained on one picture, over new noise and times.
double overfit(const Tensor<float>& latent, const Backbone& backbone, const WidthPlan& plan,
               std::uint64_t seed) {
  const FlowOptions flow{};
  const TrainingOptions training{.steps = plan.steps,
                                 .batch_size = plan.batch,
                                 .lr = 1e-3,
                                 .final_lr = 1e-5,
                                 .warmup_steps = plan.steps / 20,
                                 .ema_decay = 0.95,
                                 .seed = seed};
  const Tensor<float> latents = copies(latent, plan.batch);  // (B, C, h, w)
  const auto one = [](index_t count) {
    return std::vector<std::int64_t>(static_cast<std::size_t>(count), 0);
  };
  const auto network = train_flow(
      [&](index_t i) {
        return LatentBatch{latents, one(plan.batch), static_cast<std::uint64_t>(i * plan.batch)};
      },
      backbone, flow, training, {.stage = "width"});
  const Tensor<float> all = copies(latent, plan.draws);  // (B, C, h, w)
  const FlowDraws draws =
      draw_flow(all.shape(), one(plan.draws), backbone, flow, seed + 1000, std::uint64_t{1} << 40);
  const auto goal = flow_target(flow.objective, all, draws.noise, draws.t);
  const Tensor<float> output = (*network)(goal.x, draws.t, draws.labels);  // (B, C, h, w)
  double sum = 0;
  for (index_t i = 0; i < output.numel(); ++i) {
    const double error = static_cast<double>(output[i]) - static_cast<double>(goal.target[i]);
    sum += error * error;
  }
  return sum / static_cast<double>(output.numel());
}

ConfigNode measure(const WidthPlan& plan, const ImageDataset& pictures, const ConfigNode& at) {
  const auto tokens = at.get<index_t>("tokens"), width = at.get<index_t>("width"),
             head = at.get<index_t>("head"), seed = at.get<index_t>("seed");
  const Tensor<float> latent = latent_of(pictures, seed, tokens);            // (1, C, h, w)
  const Tensor<float> rows = grid_to_tokens(latent).reshaped({-1, tokens});  // (T, C)
  const std::vector<double> spectrum = token_spectrum(rows.view());
  const double loss = overfit(latent, network_of(tokens, width, at.get<index_t>("depth"), head),
                              plan, static_cast<std::uint64_t>(seed));
  return ConfigNode::map(
      {{"loss", loss}, {"bound", least_loss_of_width(spectrum, std::max(width, head))}});
}

std::vector<Point> points_of(const WidthPlan& plan, const ImageDataset& pictures) {
  std::vector<Point> out;
  for (index_t seed = 0; seed < plan.seeds; ++seed)
    for (const index_t tokens : plan.tokens)
      for (const index_t width : plan.widths) {
        const auto add = [&](index_t depth, index_t head) {
          const ConfigNode at = ConfigNode::map({{"tokens", tokens},
                                                 {"width", width},
                                                 {"depth", depth},
                                                 {"head", head},
                                                 {"seed", seed}});
          const double cost = static_cast<double>(depth * width * width + 2 * head * head) + 5e3;
          out.push_back({at, cost, [=, &plan, &pictures] { return measure(plan, pictures, at); }});
        };
        for (const index_t depth : plan.depths) add(depth, 0);
        // The head is wider than every token; the backbone is narrower.
        if (width < tokens) add(plan.depths[0], plan.head);
      }
  return out;
}

void run(const Options& options) {
  const WidthPlan plan = plan_of(options);
  const auto data = open_pictures(options, Split::train, kRandomSize);
  const auto pictures = evenly_spaced(data, plan.statistics);
  write_finding(options, width_finding(plan, measure_points(options, settings_of(plan, *data),
                                                            points_of(plan, *pictures))));
}

}  // namespace

int main(int argc, char** argv) { return run_experiment(argc, argv, "width", run); }
