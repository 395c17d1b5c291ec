#include "rae/train/vae_trainer.hpp"

#include <algorithm>

#include "rae/core/parallel.hpp"
#include "rae/ops/loss.hpp"
#include "rae/train/decoder_loss.hpp"
#include "train/held_out.hpp"

namespace rae {

namespace {

void require_fit(const ImageDataset& data, const EncoderConfig& encoder,
                 const DecoderConfig& decoder, const std::string& stage) {
  const auto require = [&](const char* network, index_t channels, index_t height, index_t width) {
    if (data.channels() != channels || data.height() != height || data.width() != width)
      raise<ConfigError>(stage, ": the ", network, " is for pictures of ", channels, " x ", height,
                         " x ", width, ", the data set has ", data.channels(), " x ", data.height(),
                         " x ", data.width());
  };
  require("encoder", encoder.channels, encoder.table_h * encoder.patch_size,
          encoder.table_w * encoder.patch_size);
  require("decoder", decoder.channels, decoder.grid_h * decoder.patch_size,
          decoder.grid_w * decoder.patch_size);
  if (encoder.table_h != decoder.grid_h || encoder.table_w != decoder.grid_w)
    raise<ConfigError>(stage, ": the encoder makes ", encoder.table_h, " x ", encoder.table_w,
                       " tokens, the decoder expects ", decoder.grid_h, " x ", decoder.grid_w);
}

}  // namespace

Tensor<float> latent_noise(const Shape& shape, std::uint64_t seed, std::uint64_t first) {
  Tensor<float> out(shape);  // (B, N, C)
  const index_t samples = shape[0], size = out.numel() / std::max<index_t>(1, samples);
  float* noise = out.data();
  parallel_for(samples, 4, [=](index_t b) {
    Philox(seed, first + static_cast<std::uint64_t>(b))
        .fill_normal({noise + b * size, static_cast<std::size_t>(size)});
  });
  return out;
}

Var<float> vae_loss(const Vae<Var<float>>& model, const PixelNorm& pixels,
                    const Tensor<float>& images, const Tensor<float>& noise,
                    const VaeLossOptions& options, index_t step) {
  const Var<float> moments =
      model.encoder.moments(Var<float>(normalize_pixels(images, pixels)));  // (B, N, 2C)
  const Var<float> recon = affine_pixels(model.decoder(gaussian_sample(moments, noise)), pixels.std,
                                         pixels.mean);  // (B, C, H, W)
  const Var<float> loss = options.reconstruction ? options.reconstruction(recon, images, step)
                                                 : l1_loss(recon, images);  // ()
  if (options.kl_weight == 0) return loss;
  return add(loss, scale(kl_loss(moments), static_cast<float>(options.kl_weight)));  // ()
}

Vae<Tensor<float>> train_vae(OwnedPointer<const ImageDataset> data, const VaeEncoderConfig& encoder,
                             const DecoderConfig& decoder, const PixelNorm& pixels,
                             const VaeLossOptions& loss, const TrainingOptions& options,
                             TrainingContext context, const OnAverageVae& on_average) {
  require_fit(*data, encoder.vit, decoder, context.stage);
  if (!(loss.kl_weight >= 0))
    raise<ConfigError>(context.stage, ": kl_weight: expected a number of at least 0, got ",
                       loss.kl_weight);
  Vae<Var<float>> model(encoder, decoder);
  initialize(model, options.seed);
  set_initial_values(model, context.initial);
  multiply_as(model, options.dtype);
  AdamW<float> optimizer = make_optimizer(model, options, {});
  // Options out of range are refused by run_training; nothing may divide by them before.
  const index_t part_size = options.batch_size / std::max<index_t>(1, options.accumulate);
  Batches batches(data, part_size, options.seed, loss.augmentation);
  const RankPart own = context.ranks.part(part_size);
  Vae<Tensor<float>> averaged(encoder, decoder);
  if (on_average)
    context.on_checkpoint = [&, then = context.on_checkpoint](index_t step) {
      optimizer.copy_ema_to(averaged);
      on_average(step, averaged);
      if (then) then(step);
    };
  const auto loss_of = [&](const Batch& batch, index_t step) {
    const Shape noise{batch.images.extent(0), decoder.grid_h * decoder.grid_w, encoder.latent_dim};
    return vae_loss(model, pixels, batch.images, latent_noise(noise, options.seed, batch.first),
                    loss, step);
  };
  if (const detail::HeldOut held_out(context.held_out, part_size); !held_out.empty())
    context.held_out_loss = [&, held_out](index_t step) {
      return held_out.mean([&](const Batch& batch) { return loss_of(batch, step); });
    };
  run_training(optimizer, options, context, [&](index_t step, index_t part) {
    return loss_of(batches(step * options.accumulate + part, own.begin, own.end), step);
  });
  optimizer.copy_ema_to(averaged);
  return averaged;
}

}  // namespace rae
