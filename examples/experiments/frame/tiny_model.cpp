#include "frame/tiny_model.hpp"

#include <utility>

#include "rae/diffusion/latent_statistics.hpp"
#include "rae/models/initialize.hpp"
#include "rae/train/decoder_trainer.hpp"
#include "rae/train/flow_trainer.hpp"

namespace rae::experiments {
namespace {

constexpr index_t kGrid = 4, kWidth = 16, kBatch = 16;

TrainingOptions short_training(index_t steps) {
  return {.steps = steps,
          .batch_size = kBatch,
          .lr = 5e-3,
          .final_lr = 5e-3,
          .warmup_steps = 2,
          .ema_decay = 0.9};
}

ModelConfig tiny_config(const ImageDataset& train) {
  const index_t patch = train.height() / kGrid;
  const auto classes = static_cast<index_t>(train.class_names().size());
  ModelConfig out;
  out.name = "tiny";
  out.encoder = EncoderConfig{.family = EncoderFamily::siglip2,
                              .patch_size = patch,
                              .hidden_size = kWidth,
                              .num_layers = 1,
                              .num_heads = 2,
                              .intermediate_size = 2 * kWidth,
                              .registers = 0,
                              .table_h = kGrid,
                              .table_w = kGrid};
  out.pixels = {{0.5, 0.5, 0.5}, {0.25, 0.25, 0.25}};
  out.image_size = train.height();
  out.decoder = DecoderConfig{.grid_h = kGrid,
                              .grid_w = kGrid,
                              .in_dim = kWidth,
                              .hidden_size = kWidth,
                              .num_layers = 1,
                              .num_heads = 2,
                              .intermediate_size = 2 * kWidth,
                              .patch_size = patch};
  out.dit = DitDhConfig{.grid_h = kGrid,
                        .grid_w = kGrid,
                        .in_channels = kWidth,
                        .hidden_size = {kWidth, kWidth},
                        .depth = {1, 1},
                        .num_heads = {2, 2},
                        .num_classes = classes};
  out.sampling.steps = 4;
  out.class_names = train.class_names();
  return out;
}

}  // namespace

Bundle tiny_model(const OwnedPointer<const ImageDataset>& train, std::optional<DType> quantize) {
  Bundle out;
  out.config = tiny_config(*train);
  Encoder<Tensor<float>> encoder(out.config.encoder.get<EncoderConfig>());
  initialize(encoder, 1);
  out.store("encoder.", encoder);
  Decoder<Tensor<float>> decoder =
      train_decoder(train, *encoder_network(encoder), out.config.pixels, *out.config.decoder,
                    {.perceptual_weight = 0}, short_training(30), {.stage = "decoder"});
  out.store("decoder.", decoder);

  Tensor<float> pictures(
      Shape{train->size(), train->channels(), train->height(), train->width()});  // (N, 3, H, W)
  const auto pixels = static_cast<std::size_t>(train->image_size());
  for (index_t i = 0; i < train->size(); ++i)
    train->image(i, pictures.span().subspan(static_cast<std::size_t>(i) * pixels, pixels));
  LatentStatistics statistics;
  statistics.update(out.autoencoder().encode(std::as_const(pictures)));
  out.store_latent_norm({statistics.mean(), statistics.variance()});
  const Tensor<float> latents = out.autoencoder().encode(std::as_const(pictures));  // (N, C, h, w)
  const index_t size = latents.numel() / latents.extent(0);
  const auto batch = [&](index_t i) {
    LatentBatch part{
        Tensor<float>(latents.shape().with(0, kBatch)), {}, static_cast<std::uint64_t>(i * kBatch)};
    for (index_t b = 0; b < kBatch; ++b) {
      const index_t at = (i * kBatch + b) % latents.extent(0);
      copy_elements(latents.data() + at * size, size, part.latents.data() + b * size);
      part.labels.push_back(train->label(at));
    }
    return part;
  };
  FlowOptions flow;
  flow.quantize = quantize;
  const auto dit = train_flow(batch, *out.config.dit, flow, short_training(40), {.stage = "dit"});
  out.store("dit.", *dit);
  return out;
}

}  // namespace rae::experiments
