#include "frame/latent_training.hpp"

#include <algorithm>

#include "rae/diffusion/sampler.hpp"

namespace rae::experiments {

LatentSource random_batches(const Representation& space, index_t batch, std::uint64_t seed) {
  return [&space, batch, seed](index_t i) {
    const index_t count = space.latents.extent(0), size = space.shape().numel();
    LatentBatch out{Tensor<float>(space.latents.shape().with(0, batch)),
                    {},
                    static_cast<std::uint64_t>(i * batch)};
    const Philox random(seed, (std::uint64_t{1} << 61) + static_cast<std::uint64_t>(i));
    for (index_t b = 0; b < batch; ++b) {
      const auto at = static_cast<index_t>(
          random.below(static_cast<std::uint64_t>(b), static_cast<std::uint64_t>(count)));
      copy_elements(space.latents.data() + at * size, size, out.latents.data() + b * size);
      out.labels.push_back(space.labels[static_cast<std::size_t>(at)]);
    }
    return out;
  };
}

ConfigNode to_config(const DitPlan& plan) {
  return ConfigNode::map({{"backbone", plan.backbone},
                          {"depth", plan.depth},
                          {"head", plan.head},
                          {"head_depth", plan.head_depth},
                          {"head_width", plan.head_width}});
}

DitPlan wide_enough(DitPlan plan, const Shape& latent) {
  const index_t unit = plan.head_width;
  plan.head = std::max(plan.head, (latent[0] + unit - 1) / unit * unit);
  return plan;
}

DitDhConfig dit_dh(const DitPlan& plan, const Shape& latent, index_t classes) {
  return {.grid_h = latent[1],
          .grid_w = latent[2],
          .in_channels = latent[0],
          .hidden_size = {plan.backbone, plan.head},
          .depth = {plan.depth, plan.head_depth},
          .num_heads = {plan.backbone / plan.head_width, plan.head / plan.head_width},
          .num_classes = classes};
}

TrainingOptions dit_training(index_t steps, index_t batch, std::uint64_t seed) {
  return {.steps = steps,
          .batch_size = batch,
          .lr = 1e-3,
          .final_lr = 1e-5,
          .warmup_steps = steps / 20,
          .ema_decay = 0.995,
          .seed = seed};
}

Tensor<float> draw_latents(const BackboneNetwork<Tensor<float>>& network, const Shape& latent,
                           std::span<const float> grid, const std::vector<std::int64_t>& labels,
                           index_t first, std::uint64_t seed) {
  const auto count = static_cast<index_t>(labels.size());
  Tensor<float> x(Shape{count, latent[0], latent[1], latent[2]});  // (B, C, h, w)
  Philox(seed + 500, static_cast<std::uint64_t>(first)).fill_normal(x.span());
  return sample<float>([&](const Tensor<float>& at,
                           float t) { return network(at, Tensor<float>(Shape{count}, t), labels); },
                       std::move(x), grid);
}

}  // namespace rae::experiments
