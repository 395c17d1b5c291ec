// Experiment `width`: a DiT that is narrower than a token cannot even overfit one picture.
//
// Diffusion Transformers with Representation Autoencoders (arXiv 2510.11690), section 4: Table 3,
// Figure 3 and Theorem 1; section 5 for the head.
#include <algorithm>
#include <cmath>

#include "frame/pictures.hpp"
#include "rae/metrics/token_spectrum.hpp"
#include "rae/models/initialize.hpp"
#include "rae/train/flow_trainer.hpp"
#include "width/plan.hpp"

namespace {

using namespace rae;
using namespace rae::experiments;

constexpr index_t kGrid = 4, kSize = 32, kHead = 16;  // tokens per side, pixels, width of a head

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

/// Latents of one picture: the tokens of a frozen random ViT whose width is the token dimension,
/// normalised per element by the statistics of `pictures` (N, 3, H, W).
Tensor<float> latents_of(const Tensor<float>& pictures, index_t chosen, index_t width) {
  Encoder<Tensor<float>> encoder({.family = EncoderFamily::siglip2,
                                  .patch_size = kSize / kGrid,
                                  .hidden_size = width,
                                  .num_layers = 2,
                                  .num_heads = width / kHead,
                                  .intermediate_size = 4 * width,
                                  .registers = 0,
                                  .table_h = kGrid,
                                  .table_w = kGrid});
  initialize(encoder, 1);
  Tensor<float> normalised = pictures;  // (N, 3, H, W), in [-1, 1]
  for (float& value : normalised.span()) value = 2 * value - 1;
  const Tensor<float> tokens = encoder(normalised);  // (N, T, C)
  const index_t count = tokens.extent(0), size = tokens.numel() / count;
  Tensor<float> out(Shape{1, tokens.extent(1), width});  // (1, T, C)
  for (index_t i = 0; i < size; ++i) {
    double mean = 0, squares = 0;
    for (index_t n = 0; n < count; ++n) mean += static_cast<double>(tokens[n * size + i]);
    mean /= static_cast<double>(count);
    for (index_t n = 0; n < count; ++n) {
      const double difference = static_cast<double>(tokens[n * size + i]) - mean;
      squares += difference * difference;
    }
    const double deviation = std::sqrt(squares / static_cast<double>(count) + 1e-5);
    out.data()[i] = static_cast<float>(
        (static_cast<double>(tokens[(chosen % count) * size + i]) - mean) / deviation);
  }
  return out;
}

/// `count` copies of tokens (1, T, C) as latents (count, C, h, w).
Tensor<float> copies(const Tensor<float>& tokens, index_t count) {
  const Tensor<float> grid = tokens_to_grid(tokens, kGrid, kGrid);  // (1, C, h, w)
  Tensor<float> out(Shape{count, grid.extent(1), kGrid, kGrid});    // (B, C, h, w)
  for (index_t b = 0; b < count; ++b)
    copy_elements(grid.data(), grid.numel(), out.data() + b * grid.numel());
  return out;
}

/// The DiT of a point; with a DDT head of `head` channels where that is not 0.
Backbone network_of(index_t tokens, index_t width, index_t depth, index_t head) {
  if (head == 0)
    return LightningDitConfig{.input_h = kGrid,
                              .input_w = kGrid,
                              .in_channels = tokens,
                              .hidden_size = width,
                              .depth = depth,
                              .num_heads = width / kHead,
                              .num_classes = 1,
                              .class_dropout_prob = 0};
  return DitDhConfig{.grid_h = kGrid,
                     .grid_w = kGrid,
                     .in_channels = tokens,
                     .hidden_size = {width, head},
                     .depth = {depth, 2},
                     .num_heads = {width / kHead, head / kHead},
                     .num_classes = 1,
                     .class_dropout_prob = 0};
}

/// The loss of a network that was trained on one picture, over new noise and times.
double overfit(const Tensor<float>& tokens, const Backbone& backbone, const WidthPlan& plan,
               std::uint64_t seed) {
  const FlowOptions flow{};
  const TrainingOptions training{.steps = plan.steps,
                                 .batch_size = plan.batch,
                                 .lr = 1e-3,
                                 .final_lr = 1e-5,
                                 .warmup_steps = plan.steps / 20,
                                 .ema_decay = 0.95,
                                 .seed = seed};
  const Tensor<float> latents = copies(tokens, plan.batch);  // (B, C, h, w)
  const auto one = [](index_t count) {
    return std::vector<std::int64_t>(static_cast<std::size_t>(count), 0);
  };
  const auto network = train_flow(
      [&](index_t i) {
        return LatentBatch{latents, one(plan.batch), static_cast<std::uint64_t>(i * plan.batch)};
      },
      backbone, flow, training, {.stage = "width"});
  const Tensor<float> all = copies(tokens, plan.draws);  // (B, C, h, w)
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

std::vector<Point> points_of(const WidthPlan& plan, const Tensor<float>& pictures) {
  std::vector<Point> out;
  for (index_t seed = 0; seed < plan.seeds; ++seed)
    for (const index_t tokens : plan.tokens)
      for (const index_t width : plan.widths) {
        const auto add = [&](index_t depth, index_t head) {
          const double cost = static_cast<double>(depth * width * width + 2 * head * head) + 5e3;
          out.push_back(
              {ConfigNode::map({{"tokens", tokens},
                                {"width", width},
                                {"depth", depth},
                                {"head", head},
                                {"seed", seed}}),
               cost, [=, &plan, &pictures] {
                 const Tensor<float> latents = latents_of(pictures, seed, tokens);
                 const Tensor<float> rows = latents.reshaped({kGrid * kGrid, tokens});  // (T, C)
                 const std::vector<double> spectrum = token_spectrum(rows.view());
                 const double loss = overfit(latents, network_of(tokens, width, depth, head), plan,
                                             static_cast<std::uint64_t>(seed));
                 return ConfigNode::map(
                     {{"loss", loss},
                      {"bound", least_loss_of_width(spectrum, std::max(width, head))}});
               }});
        };
        for (const index_t depth : plan.depths) add(depth, 0);
        // The head is wider than every token; the backbone is narrower.
        if (width < tokens) add(plan.depths[0], plan.head);
      }
  return out;
}

void run(const Options& options) {
  const WidthPlan plan = plan_of(options);
  const auto data = open_pictures(options, Split::train, kSize);
  const Tensor<float> pictures = first_pictures(*data, plan.statistics);
  write_finding(options, width_finding(plan, measure_points(options, settings_of(plan, *data),
                                                            points_of(plan, pictures))));
}

}  // namespace

int main(int argc, char** argv) { return run_experiment(argc, argv, "width", run); }
