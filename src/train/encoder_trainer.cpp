#include "rae/train/encoder_trainer.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "rae/core/owner.hpp"
#include "rae/models/initialize.hpp"
#include "train/held_out.hpp"

namespace rae {

Tensor<float> masked_patches(const Shape& images, index_t patch_size,
                             const PretrainingOptions& options, std::uint64_t seed,
                             std::uint64_t first) {
  const index_t patches = images[2] / patch_size * (images[3] / patch_size);
  const auto taken =
      static_cast<std::size_t>(std::lround(options.mask_ratio * static_cast<double>(patches)));
  Tensor<float> out = Tensor<float>::zeros(Shape{images[0], patches});  // (B, N)
  float* masked = out.data();
  std::vector<index_t> order(static_cast<std::size_t>(patches));
  for (index_t b = 0; b < images[0]; ++b) {
    const Philox random(seed, first + static_cast<std::uint64_t>(b));
    if (static_cast<double>(random.uniform(0)) >= options.mask_probability) continue;
    std::iota(order.begin(), order.end(), index_t{0});
    for (std::size_t i = 0; i < taken; ++i) {
      std::swap(order[i], order[i + random.below(i + 1, order.size() - i)]);
      masked[b * patches + order[i]] = 1;
    }
  }
  return out;
}

namespace {

Tensor<float> without_patches(Tensor<float> images, index_t patch_size,
                              const Tensor<float>& masked) {
  const Shape s = images.shape();  // (B, C, H, W)
  const index_t columns = s[3] / patch_size, patches = masked.extent(1);
  const float* taken = masked.data();
  float* data = images.data();
  for (index_t k = 0; k < masked.numel(); ++k) {
    if (taken[k] == 0) continue;
    const index_t b = k / patches, y = k % patches / columns * patch_size,
                  x = k % patches % columns * patch_size;
    for (index_t c = 0; c < s[1]; ++c)
      for (index_t row = y; row < y + patch_size; ++row)
        std::fill_n(data + ((b * s[1] + c) * s[2] + row) * s[3] + x,
                    static_cast<std::size_t>(patch_size), 0.0f);
  }
  return images;
}

/// The loss with a loss of the classes for their logits.
Var<float> weighted_loss(const PretrainingModel<Var<float>>& model, const Tensor<float>& masked,
                         const Tensor<float>& images, const PretrainingOptions& options,
                         const Function<Var<float>(const Var<float>& logits)>& label_loss,
                         const DistillationTargets* teacher) {
  const Var<float> tokens = model.encoder(Var<float>(masked));  // (B, N, D)
  std::optional<Var<float>> sum;                                // ()
  const auto add_term = [&](const Var<float>& term, double weight) {
    const Var<float> scaled = scale(term, static_cast<float>(weight));  // ()
    sum = sum ? add(*sum, scaled) : scaled;
  };
  if (options.pixel_weight != 0 || (options.label_weight == 0 && teacher == nullptr)) {
    const Tensor<float> target =
        patchify(images, model.encoder.config().patch_size);  // (B, N, C*P*P)
    add_term(mse_loss(model.predict(tokens), target), options.pixel_weight);
  }
  if (options.label_weight != 0) add_term(label_loss(model.classify(tokens)), options.label_weight);
  if (teacher != nullptr)
    add_term(distillation_loss(*model.distillation, tokens, *teacher, options.distillation),
             options.distillation.weight);
  return *sum;
}

}  // namespace

Tensor<float> mask_patches(Tensor<float> images, index_t patch_size,
                           const PretrainingOptions& options, std::uint64_t seed,
                           std::uint64_t first) {
  const Tensor<float> masked =
      masked_patches(images.shape(), patch_size, options, seed, first);  // (B, N)
  return without_patches(std::move(images), patch_size, masked);
}

Var<float> pretraining_loss(const PretrainingModel<Var<float>>& model, const Tensor<float>& masked,
                            const Tensor<float>& images, std::span<const std::int64_t> labels,
                            const PretrainingOptions& options, const DistillationTargets* teacher) {
  return weighted_loss(
      model, masked, images, options,
      [&](const Var<float>& logits) {
        return cross_entropy_loss(logits, labels, options.label_smoothing);
      },
      teacher);
}

Var<float> pretraining_loss(const PretrainingModel<Var<float>>& model, const Tensor<float>& masked,
                            const Tensor<float>& images, const Tensor<float>& targets,
                            const PretrainingOptions& options) {
  return weighted_loss(
      model, masked, images, options,
      [&](const Var<float>& logits) { return soft_cross_entropy_loss(logits, targets); }, nullptr);
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
  const DistillationOptions& distillation = pretraining.distillation;
  require_distillation(distillation);
  const bool distills = distillation.weight > 0;
  if (distills && pretraining.mix.mixes())
    raise<ConfigError>(context.stage,
                       ": pictures that are mixed have no other view for the distillation; set "
                       "distillation_weight, or mixup_alpha and cutmix_alpha, to 0");
  if (distills && context.ranks.several())
    raise<ConfigError>(context.stage,
                       ": the distillation needs whole batches; train this stage with one process");
  const auto classes = static_cast<index_t>(data->class_names().size());
  const index_t prototypes = distills ? distillation.prototypes : 0;
  PretrainingModel<Var<float>> model(config, classes, prototypes);
  init_default(model, options.seed);
  initialize(model.encoder, options.seed);
  set_initial_values(model, context.initial);
  multiply_as(model, options.dtype);
  std::vector<double> decays = options.further_ema_decays;
  if (distills) decays.push_back(distillation.teacher_momentum);  // the teacher is an average, too
  AdamW<float> optimizer = make_optimizer(model, options, decays);
  Batches batches(data, options.batch_size / options.accumulate, options.seed,
                  pretraining.augmentation),
      other_views(data, options.batch_size / options.accumulate, options.seed,
                  pretraining.augmentation, 1);
  const RankPart own = context.ranks.part(options.batch_size / options.accumulate);
  PretrainingModel<Tensor<float>> averaged(config, classes, prototypes);
  if (on_average)
    context.on_checkpoint = [&, then = context.on_checkpoint](index_t step) {
      optimizer.copy_ema_to(averaged);
      on_average(step, averaged.encoder);
      if (then) then(step);
    };
  const auto masks = [&](const Tensor<float>& images, std::uint64_t first) {
    return masked_patches(images.shape(), config.patch_size, pretraining, options.seed, first);
  };
  // `other`: pixels of another view of the pictures, for the teacher.
  const auto loss_of = [&](const Batch& batch, const Tensor<float>& other) {
    const Tensor<float> images = normalize_pixels(batch.images, pixels);  // (B, C, H, W)
    const Tensor<float> masked = masks(images, batch.first);              // (B, N)
    DistillationTargets teacher;
    if (distills) {
      const NoGrad<float> unrecorded;
      const AverageScope<float> exchanged(optimizer, optimizer.ema_decays().size() - 1);
      teacher = teacher_targets(*model.distillation,
                                model.encoder(Var<float>(normalize_pixels(other, pixels))),
                                model.encoder(Var<float>(images)), masked, distillation);
    }
    return pretraining_loss(model, without_patches(images, config.patch_size, masked), images,
                            batch.labels, pretraining, distills ? &teacher : nullptr);
  };
  if (const detail::HeldOut held_out(context.held_out, options.batch_size / options.accumulate);
      !held_out.empty())
    context.held_out_loss = [&, held_out](index_t) {
      return held_out.mean([&](const Batch& batch) { return loss_of(batch, batch.images); });
    };
  run_training(optimizer, options, context, [&](index_t step, index_t part) {
    const index_t i = step * options.accumulate + part;
    if (!pretraining.mix.mixes())
      return loss_of(batches(i, own.begin, own.end),
                     distills ? other_views(i, own.begin, own.end).images : Tensor<float>());
    const MixedBatch batch =
        mix_with_next(batches(i, own.begin, own.end + 1), classes, pretraining.mix,
                      pretraining.label_smoothing, options.seed);
    const Tensor<float> images = normalize_pixels(batch.images, pixels);  // (B, C, H, W)
    return pretraining_loss(model,
                            without_patches(images, config.patch_size, masks(images, batch.first)),
                            images, batch.targets, pretraining);
  });
  optimizer.copy_ema_to(averaged);
  return std::move(averaged.encoder);
}

}  // namespace rae
