#include "rae/train/flow_trainer.hpp"

#include <algorithm>

#include "core/process_limits.hpp"
#include "rae/core/owner.hpp"
#include "rae/core/parallel.hpp"
#include "rae/ops/tokens.hpp"
#include "train/held_out.hpp"
#include "train/latent_cache.hpp"

namespace rae {

FlowDraws draw_flow(const Shape& latents, std::vector<std::int64_t> labels, const Backbone& model,
                    const FlowOptions& options, std::uint64_t seed, std::uint64_t first) {
  const index_t samples = latents[0], size = latents.numel() / samples;
  const double dropout = model.class_dropout_prob();
  const std::int64_t null_class = model.num_classes();
  FlowDraws draws{Tensor<float>(latents), Tensor<float>(Shape{samples}), std::move(labels)};
  float *noise = draws.noise.data(), *t = draws.t.data();
  parallel_for(samples, 4, [&](index_t b) {
    const Philox random(seed, first + static_cast<std::uint64_t>(b));
    t[b] = time_shift(static_cast<float>(options.time(static_cast<double>(random.uniform(0)))),
                      options.time_shift);
    if (static_cast<double>(random.uniform(1)) < dropout)
      draws.labels[static_cast<std::size_t>(b)] = null_class;
    // The noise starts at the block of four draws after the one that the uniforms come from.
    random.fill_normal({noise + b * size, static_cast<std::size_t>(size)}, 4);
  });
  return draws;
}

namespace {

/// The held-out latents of a training, whose loss takes `mean`; empty where there are none.
using HeldOutLatents = Function<double(const Function<Var<float>(const LatentBatch&)>& mean)>;

OwnedPointer<BackboneNetwork<Tensor<float>>> train_on_latents(
    const LatentSource& latents, const HeldOutLatents& held_out, const Backbone& backbone,
    const FlowOptions& flow, const TrainingOptions& training, TrainingContext context,
    const OnAverage& on_average) {
  require_trainable(flow.objective, flow.time, flow.time_shift, context.stage);
  if (flow.quantize && !has_groups(*flow.quantize))
    raise<ConfigError>(context.stage, ": weights cannot be quantised to ", name_of(*flow.quantize),
                       " in training: expected int8w or int4");
  const auto model = backbone.make<Var<float>>();
  model->initialize(training.seed);
  model->set_checkpointing(flow.checkpointing);
  set_initial_values(*model, context.initial);
  multiply_as(*model, training.dtype);
  if (flow.quantize)
    quantize_parameters(*model, [&](const std::string& name) {
      return backbone.weight_type(*flow.quantize, name);
    });
  AdamW<float> optimizer = make_optimizer(*model, training);
  auto averaged = backbone.make<Tensor<float>>();
  if (on_average)
    context.on_checkpoint = [&, then = context.on_checkpoint](index_t step) {
      optimizer.copy_ema_to(*averaged);
      on_average(step, *averaged);
      if (then) then(step);
    };
  const Shape latent = backbone.latent_shape();  // (C, h, w)
  // Options out of range are refused by run_training; nothing may divide by them before.
  const index_t part_size = training.batch_size / std::max<index_t>(1, training.accumulate);
  const Shape expected{context.ranks.part(part_size).count(), latent[0], latent[1], latent[2]};
  const auto loss_of = [&](const LatentBatch& batch) {
    const FlowDraws draws =
        draw_flow(batch.latents.shape(), batch.labels, backbone, flow, training.seed, batch.first);
    const bool aligned = aligns(backbone, flow.further);
    if (!backbone.has_base_head() && !aligned)
      return flow_loss(*model, batch.latents, draws.noise, draws.t, draws.labels, flow.objective);
    const auto outputs = [&](const Var<float>& x, const Tensor<float>& t,
                             std::span<const std::int64_t> labels, const WantedOutputs& wanted) {
      return model->outputs(x, model->conditioning(t, labels), wanted);
    };
    return flow_losses(outputs, batch.latents, draws.noise, draws.t, draws.labels, flow.objective,
                       aligned ? grid_to_tokens(batch.latents) : Tensor<float>(), flow.further,
                       backbone.has_base_head())
        .total;
  };
  if (held_out) context.held_out_loss = [&](index_t) { return held_out(loss_of); };
  run_training(optimizer, training, context, [&](index_t step, index_t part) {
    const LatentBatch batch = latents(step * training.accumulate + part);
    const Shape shape = batch.latents.shape();  // (B, C, h, w)
    if (!(shape == expected))
      raise<ConfigError>(context.stage, ": ", backbone.title(), " and the batch size ask for ",
                         "latents of shape ", expected, ", got ", shape);
    return loss_of(batch);
  });
  optimizer.copy_ema_to(*averaged);
  return averaged;
}

}  // namespace

bool aligns(const Backbone& backbone, const FurtherLosses& losses, const std::string& where) {
  const Shape aligned = backbone.aligned_shape();  // (N, z)
  if (aligned.rank() == 0 || losses.align <= 0) return false;
  const Shape latent = backbone.latent_shape();          // (C, h, w)
  const Shape tokens{latent[1] * latent[2], latent[0]};  // (N, C)
  if (!(aligned == tokens))
    raise<ConfigError>(where, ": REPA compares features with the latents' own tokens ", tokens,
                       ", but the network's projection makes ", aligned, "; set align_width to ",
                       tokens[1], " and patch_size to 1, or align_weight to 0");
  return true;
}

OwnedPointer<BackboneNetwork<Tensor<float>>> train_flow(
    const LatentSource& latents, const Backbone& backbone, const FlowOptions& flow,
    const TrainingOptions& training, TrainingContext context, const OnAverage& on_average) {
  if (!context.ranks.several())
    return train_on_latents(latents, {}, backbone, flow, training, std::move(context), on_average);
  const RankSharing ranks = context.ranks;
  const auto own_part = [&, ranks](index_t i) {
    LatentBatch all = latents(i);
    const Shape shape = all.latents.shape();  // (B, C, h, w)
    const index_t size = shape.numel() / std::max<index_t>(1, shape[0]);
    const RankPart part = ranks.part(shape[0]);
    LatentBatch own{Tensor<float>(Shape{part.count(), shape[1], shape[2], shape[3]}),
                    {all.labels.begin() + part.begin, all.labels.begin() + part.end},
                    all.first + static_cast<std::uint64_t>(part.begin)};
    copy_elements(std::as_const(all.latents).data() + part.begin * size, part.count() * size,
                  own.latents.data());
    return own;
  };
  return train_on_latents(own_part, {}, backbone, flow, training, std::move(context), on_average);
}

OwnedPointer<BackboneNetwork<Tensor<float>>> train_flow(
    OwnedPointer<const ImageDataset> data, const Rae<float>& autoencoder, const Backbone& backbone,
    const FlowOptions& flow, const TrainingOptions& training, TrainingContext context,
    const OnAverage& on_average) {
  const index_t classes = backbone.num_classes();
  if (classes > 1 && classes < static_cast<index_t>(data->class_names().size()))
    raise<ConfigError>(context.stage, ": the model has ", classes, " classes, the data set ",
                       data->class_names().size());
  const index_t part_size = training.batch_size / std::max<index_t>(1, training.accumulate);
  const RankPart own = context.ranks.part(part_size);
  KeptLatents kept = flow.latents;
  if (context.ranks.several()) kept.file.clear();
  detail::LatentCache latents(data, autoencoder, part_size, training.seed, flow.augmentation,
                              static_cast<index_t>(detail::cache_memory(detail::kKeptLatentBytes)),
                              std::move(kept));
  const auto labelled = [&](LatentBatch batch) {
    if (classes == 1) std::fill(batch.labels.begin(), batch.labels.end(), std::int64_t{0});
    return batch;
  };
  const detail::HeldOut pictures(context.held_out, part_size);
  HeldOutLatents held_out;
  if (!pictures.empty())
    held_out = [&](const Function<Var<float>(const LatentBatch&)>& loss) {
      return pictures.mean([&](const Batch& batch) {
        return loss(labelled({autoencoder.encode(batch.images), batch.labels, batch.first}));
      });
    };
  return train_on_latents([&](index_t i) { return labelled(latents(i, own.begin, own.end)); },
                          held_out, backbone, flow, training, std::move(context), on_average);
}

}  // namespace rae
