#include "rae/train/encoder_trainer.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "rae/core/owner.hpp"
#include "rae/models/initialize.hpp"
#include "train/held_out.hpp"

namespace rae {

Tensor<float> mask_patches(Tensor<float> images, index_t patch_size,
                           const PretrainingOptions& options, std::uint64_t seed,
                           std::uint64_t first) {
  const Shape s = images.shape();  // (B, C, H, W)
  const index_t columns = s[3] / patch_size, patches = s[2] / patch_size * columns;
  const auto taken =
      static_cast<std::size_t>(std::lround(options.mask_ratio * static_cast<double>(patches)));
  std::vector<index_t> order(static_cast<std::size_t>(patches));
  float* data = images.data();
  for (index_t b = 0; b < s[0]; ++b) {
    const Philox random(seed, first + static_cast<std::uint64_t>(b));
    if (static_cast<double>(random.uniform(0)) >= options.mask_probability) continue;
    std::iota(order.begin(), order.end(), index_t{0});
    for (std::size_t i = 0; i < taken; ++i) {
      std::swap(order[i], order[i + random.below(i + 1, order.size() - i)]);
      const index_t y = order[i] / columns * patch_size, x = order[i] % columns * patch_size;
      for (index_t c = 0; c < s[1]; ++c)
        for (index_t row = y; row < y + patch_size; ++row)
          std::fill_n(data + ((b * s[1] + c) * s[2] + row) * s[3] + x,
                      static_cast<std::size_t>(patch_size), 0.0f);
    }
  }
  return images;
}

namespace {

/// The loss with a loss of the classes for their logits.
Var<float> weighted_loss(const PretrainingModel<Var<float>>& model, const Tensor<float>& masked,
                         const Tensor<float>& images, const PretrainingOptions& options,
                         const Function<Var<float>(const Var<float>& logits)>& label_loss) {
  const Var<float> tokens = model.encoder(Var<float>(masked));  // (B, N, D)
  const Tensor<float> target =
      patchify(images, model.encoder.config().patch_size);  // (B, N, C*P*P)
  const Var<float> pixel_loss = scale(mse_loss(model.predict(tokens), target),
                                      static_cast<float>(options.pixel_weight));  // ()
  if (options.label_weight == 0) return pixel_loss;
  return add(pixel_loss, scale(label_loss(model.classify(tokens)),
                               static_cast<float>(options.label_weight)));  // ()
}

}  // namespace

Var<float> pretraining_loss(const PretrainingModel<Var<float>>& model, const Tensor<float>& masked,
                            const Tensor<float>& images, std::span<const std::int64_t> labels,
                            const PretrainingOptions& options) {
  return weighted_loss(model, masked, images, options, [&](const Var<float>& logits) {
    return cross_entropy_loss(logits, labels, options.label_smoothing);
  });
}

Var<float> pretraining_loss(const PretrainingModel<Var<float>>& model, const Tensor<float>& masked,
                            const Tensor<float>& images, const Tensor<float>& targets,
                            const PretrainingOptions& options) {
  return weighted_loss(model, masked, images, options, [&](const Var<float>& logits) {
    return soft_cross_entropy_loss(logits, targets);
  });
}

Encoder<Tensor<float>> train_encoder(OwnedPointer<const ImageDataset> data,
                                     const EncoderConfig& config, const PixelNorm& pixels,
                                     const PretrainingOptions& pretraining,
                                     const TrainingOptions& options, TrainingContext context,
                                     const OnAverageEncoder& on_average) {
  if (data->channels() != config.channels || data->height() != config.table_h * config.patch_size ||
      data->width() != config.table_w * config.patch_size)
    raise<ConfigError>(context.stage, ": the encoder is for pictures of ", config.channels, " x ",
                       config.table_h * config.patch_size, " x ",
                       config.table_w * config.patch_size, ", the data set has ", data->channels(),
                       " x ", data->height(), " x ", data->width());
  require_mix(pretraining.mix);
  const auto classes = static_cast<index_t>(data->class_names().size());
  PretrainingModel<Var<float>> model(config, classes);
  init_default(model, options.seed);
  initialize(model.encoder, options.seed);
  set_initial_values(model, context.initial);
  multiply_as(model, options.dtype);
  AdamW<float> optimizer(
      model, {.beta1 = options.beta1, .beta2 = options.beta2, .weight_decay = options.weight_decay},
      options.ema_decay, options.further_ema_decays);
  Batches batches(data, options.batch_size / options.accumulate, options.seed,
                  pretraining.augmentation);
  const RankPart own = context.ranks.part(options.batch_size / options.accumulate);
  PretrainingModel<Tensor<float>> averaged(config, classes);
  if (on_average)
    context.on_checkpoint = [&, then = context.on_checkpoint](index_t step) {
      optimizer.copy_ema_to(averaged);
      on_average(step, averaged.encoder);
      if (then) then(step);
    };
  if (const detail::HeldOut held_out(context.held_out, options.batch_size / options.accumulate);
      !held_out.empty())
    context.held_out_loss = [&, held_out](index_t) {
      return held_out.mean([&](const Batch& batch) {
        const Tensor<float> images = normalize_pixels(batch.images, pixels);  // (B, C, H, W)
        return pretraining_loss(
            model, mask_patches(images, config.patch_size, pretraining, options.seed, batch.first),
            images, batch.labels, pretraining);
      });
    };
  const auto masked = [&](const Tensor<float>& images, std::uint64_t first) {
    return mask_patches(images, config.patch_size, pretraining, options.seed, first);
  };
  run_training(optimizer, options, context, [&](index_t step, index_t part) {
    const index_t i = step * options.accumulate + part;
    if (!pretraining.mix.mixes()) {
      const Batch batch = batches(i, own.begin, own.end);
      const Tensor<float> images = normalize_pixels(batch.images, pixels);  // (B, C, H, W)
      return pretraining_loss(model, masked(images, batch.first), images, batch.labels,
                              pretraining);
    }
    const MixedBatch batch =
        mix_with_next(batches(i, own.begin, own.end + 1), classes, pretraining.mix,
                      pretraining.label_smoothing, options.seed);
    const Tensor<float> images = normalize_pixels(batch.images, pixels);  // (B, C, H, W)
    return pretraining_loss(model, masked(images, batch.first), images, batch.targets, pretraining);
  });
  optimizer.copy_ema_to(averaged);
  return std::move(averaged.encoder);
}

}  // namespace rae
