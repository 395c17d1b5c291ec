#include "frame/networks.hpp"

#include <algorithm>

namespace rae::experiments {
namespace {

index_t heads_of(index_t width) { return std::max<index_t>(1, width / 32); }

}  // namespace

EncoderConfig encoder_config(const NetworkPlan& plan) {
  const index_t grid = plan.size / plan.patch;
  return {.family = EncoderFamily::siglip2,
          .patch_size = plan.patch,
          .hidden_size = plan.width,
          .num_layers = plan.layers,
          .num_heads = heads_of(plan.width),
          .intermediate_size = 4 * plan.width,
          .registers = 0,
          .table_h = grid,
          .table_w = grid};
}

DecoderConfig decoder_config(const NetworkPlan& plan, const Shape& latent) {
  const index_t grid = latent[1];
  if (latent[2] != grid || plan.size % grid != 0)
    raise<ConfigError>("pictures of ", plan.size, " x ", plan.size,
                       " pixels cannot be decoded from a grid of ", grid, " x ", latent[2],
                       " tokens; choose an encoder whose square grid divides the size");
  return {.grid_h = grid,
          .grid_w = grid,
          .in_dim = latent[0],
          .hidden_size = plan.width,
          .num_layers = plan.layers,
          .num_heads = heads_of(plan.width),
          .intermediate_size = 4 * plan.width,
          .patch_size = plan.size / grid};
}

TrainingOptions network_training(const NetworkPlan& plan, index_t steps, std::uint64_t seed) {
  return {.steps = steps,
          .batch_size = plan.batch,
          .lr = 1e-3,
          .final_lr = 1e-5,
          .warmup_steps = steps / 20,
          .weight_decay = 0.02,
          .ema_decay = 0.99,
          .seed = seed};
}

ConfigNode to_config(const NetworkPlan& plan) {
  return ConfigNode::map({{"size", plan.size},
                          {"patch", plan.patch},
                          {"width", plan.width},
                          {"layers", plan.layers},
                          {"batch", plan.batch}});
}

}  // namespace rae::experiments
