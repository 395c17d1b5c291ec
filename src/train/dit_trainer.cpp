#include "rae/train/dit_trainer.hpp"

#include "rae/core/parallel.hpp"
#include "rae/diffusion/time_shift.hpp"
#include "rae/models/initialize.hpp"

namespace rae {

FlowDraws draw_flow(const Shape& latents, std::vector<std::int64_t> labels,
                    const DitDhConfig& model, const FlowOptions& options, std::uint64_t seed,
                    std::uint64_t first) {
  const index_t samples = latents[0], size = latents.numel() / samples;
  FlowDraws draws{Tensor<float>(latents), Tensor<float>(Shape{samples}), std::move(labels)};
  float *noise = draws.noise.data(), *t = draws.t.data();
  parallel_for(samples, 4, [&](index_t b) {
    const Philox random(seed, first + static_cast<std::uint64_t>(b));
    t[b] = time_shift(static_cast<float>(options.time(static_cast<double>(random.uniform(0)))),
                      options.time_shift);
    if (static_cast<double>(random.uniform(1)) < model.class_dropout_prob)
      draws.labels[static_cast<std::size_t>(b)] = model.num_classes;
    random.fill_normal({noise + b * size, static_cast<std::size_t>(size)},
                       4);  // a block of four behind the uniforms
  });
  return draws;
}

DitDh<Tensor<float>> train_dit(
    std::shared_ptr<const ImageDataset> data, const Rae<float>& autoencoder,
    const DitDhConfig& config, const FlowOptions& flow, const TrainingOptions& options,
    TrainingContext context,
    const std::function<void(index_t step, DitDh<Tensor<float>>& average)>& on_average) {
  if (flow.prediction != Prediction::velocity && flow.prediction != Prediction::data)
    raise<ConfigError>(context.stage, ": expected the prediction velocity or data, got ",
                       name_of(flow.prediction));
  require_time_shift(flow.time_shift);
  if (config.num_classes < static_cast<index_t>(data->class_names().size()))
    raise<ConfigError>(context.stage, ": the model has ", config.num_classes,
                       " classes, the data set ", data->class_names().size());
  if (config.in_channels != autoencoder.encoder().shape().width)
    raise<ConfigError>(context.stage, ": the model expects latents of ", config.in_channels,
                       " channels, the encoder makes ", autoencoder.encoder().shape().width);
  DitDh<Var<float>> model(config);
  initialize(model, options.seed);
  multiply_as(model, options.dtype);
  AdamW<float> optimizer(
      model, {.beta1 = options.beta1, .beta2 = options.beta2, .weight_decay = options.weight_decay},
      options.ema_decay);
  Batches batches(data, options.batch_size / options.accumulate, options.seed, flow.augmentation);
  DitDh<Tensor<float>> averaged(config);
  if (on_average)
    context.on_checkpoint = [&, then = context.on_checkpoint](index_t step) {
      optimizer.copy_ema_to(averaged);
      on_average(step, averaged);
      if (then) then(step);
    };
  run_training(optimizer, options, context, [&](index_t step, index_t part) {
    const Batch batch = batches(step * options.accumulate + part);
    const Tensor<float> latents = autoencoder.encode(batch.images);  // (B, C, h, w)
    const FlowDraws draws =
        draw_flow(latents.shape(), batch.labels, config, flow, options.seed, batch.first);
    return flow_matching_loss(model, latents, draws.noise, draws.t, draws.labels, flow.prediction);
  });
  optimizer.copy_ema_to(averaged);
  return averaged;
}

}  // namespace rae
