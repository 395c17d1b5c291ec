#include "rae/train/decoder_trainer.hpp"

#include "rae/autograd/ops_loss.hpp"
#include "rae/models/initialize.hpp"

namespace rae {

namespace {

/// A per-channel number for each value of a patch, in which the channel is innermost: (P*P*C).
Tensor<float> per_patch_value(const DecoderConfig& config, const std::array<double, 3>& values) {
  Tensor<float> out(Shape{config.patch_size * config.patch_size * config.channels});
  for (index_t i = 0; i < out.numel(); ++i) out[i] = static_cast<float>(values[static_cast<std::size_t>(i % config.channels)]);
  return out;
}

/// Pictures (B, C, H, W) as the decoder's patches (B, N, P*P*C), channel innermost.
Tensor<float> decoder_patches(const Tensor<float>& images, index_t patch) {
  const Shape s = images.shape();
  const index_t rows = s[2] / patch, columns = s[3] / patch;
  Tensor<float> out(Shape{s[0], rows * columns, patch * patch * s[1]});
  float* target = out.data();
  const float* source = images.data();
  for (index_t b = 0; b < s[0]; ++b)
    for (index_t n = 0; n < rows * columns; ++n)
      for (index_t py = 0; py < patch; ++py)
        for (index_t px = 0; px < patch; ++px)
          for (index_t c = 0; c < s[1]; ++c)
            *target++ = source[((b * s[1] + c) * s[2] + n / columns * patch + py) * s[3] + n % columns * patch + px];
  return out;
}

}  // namespace

DecoderLoss::DecoderLoss(Encoder<Tensor<float>>& encoder, const PixelNorm& pixels, double perceptual_weight)
    : encoder_(encoder), recorded_(encoder.config()), pixels_(pixels), perceptual_weight_(perceptual_weight) {
  copy_parameters(encoder, recorded_);
  recorded_.parameters([](const std::string&, Parameter<Var<float>>& p) { p.value.set_requires_grad(false); });
}

Var<float> DecoderLoss::operator()(const Decoder<Var<float>>& decoder, const Tensor<float>& tokens, const Tensor<float>& images) const {
  const DecoderConfig& config = decoder.config();
  const Var<float> patches = decoder.patches(Var<float>(tokens));  // (B, N, P*P*C), in the encoder's units
  const Var<float> std(per_patch_value(config, pixels_.std));      // (P*P*C)
  const Var<float> mean =
      add_broadcast(Var<float>(Tensor<float>::zeros(patches.shape())), Var<float>(per_patch_value(config, pixels_.mean)));
  const Var<float> pixels = gated_add(mean, whole(std), patches);  // (B, N, P*P*C), in [0, 1]
  const Var<float> l1 = l1_loss(pixels, decoder_patches(images, config.patch_size));
  if (perceptual_weight_ == 0) return l1;

  const std::vector<Tensor<float>> targets = encoder_.hidden_states(normalize_pixels(images, pixels_));
  const std::vector<Var<float>> features =
      recorded_.hidden_states(unpatchify(patches, config.grid_h, config.grid_w, config.patch_size));  // (B, N, D) each
  Var<float> total = l1;
  for (std::size_t i = 0; i < features.size(); ++i)
    total =
        add(total, scale(mse_loss(features[i], targets[i]), static_cast<float>(perceptual_weight_ / static_cast<double>(features.size()))));
  return total;
}

Decoder<Tensor<float>> train_decoder(std::shared_ptr<const ImageDataset> data, Encoder<Tensor<float>>& encoder, const PixelNorm& pixels,
                                     const DecoderConfig& config, const DecoderLossOptions& loss_options, const TrainingOptions& options,
                                     const TrainingContext& context) {
  if (config.in_dim != encoder.config().hidden_size)
    raise<ConfigError>(context.stage, ": the decoder expects tokens of ", config.in_dim, " channels, the encoder makes ",
                       encoder.config().hidden_size);
  if (data->channels() != config.channels || data->height() != config.grid_h * config.patch_size ||
      data->width() != config.grid_w * config.patch_size)
    raise<ConfigError>(context.stage, ": the decoder makes pictures of ", config.channels, " x ", config.grid_h * config.patch_size, " x ",
                       config.grid_w * config.patch_size, ", the data set has ", data->channels(), " x ", data->height(), " x ",
                       data->width());
  pack_parameters(encoder);
  Decoder<Var<float>> model(config);
  initialize(model, options.seed);
  AdamW<float> optimizer(model, {.beta1 = options.beta1, .beta2 = options.beta2, .weight_decay = options.weight_decay}, options.ema_decay);
  Batches batches(data, options.batch_size / options.accumulate, options.seed, loss_options.augmentation);
  const DecoderLoss loss(encoder, pixels, loss_options.perceptual_weight);
  run_training(optimizer, options, context, [&](index_t step, index_t part) {
    const Batch batch = batches(step * options.accumulate + part);
    const Tensor<float> tokens = encoder(normalize_pixels(batch.images, pixels));  // (B, N, D)
    return loss(model, noise_augment(tokens, loss_options.noise_tau, loss_options.noise_law, options.seed, batch.first), batch.images);
  });
  Decoder<Tensor<float>> averaged(config);
  optimizer.copy_ema_to(averaged);
  return averaged;
}

}  // namespace rae
