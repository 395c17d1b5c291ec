#include "frame/frozen_encoder.hpp"

#include <filesystem>
#include <utility>

#include "frame/kept_training.hpp"
#include "rae/formats/bundle.hpp"
#include "rae/formats/huggingface_encoder.hpp"
#include "rae/models/initialize.hpp"
#include "rae/train/encoder_trainer.hpp"

namespace rae::experiments {
namespace {

Rae<float> frozen(OwnedPointer<const EncoderNetwork<Tensor<float>>> encoder,
                  const PixelNorm& pixels, index_t input) {
  return {std::move(encoder),
          {},
          {.encoder_height = input, .encoder_width = input, .pixels = pixels, .latent_norm = {}}};
}

PretrainingOptions options_of(Pretraining how) {
  PretrainingOptions out;
  out.augmentation = {.shift = 4, .flip = true};
  const bool labels = how == Pretraining::labels || how == Pretraining::labels_and_masks,
             pixels = how == Pretraining::masks || how == Pretraining::labels_and_masks;
  out.label_weight = labels ? 1 : 0;
  out.pixel_weight = pixels ? 1 : 0;
  if (how == Pretraining::labels) out.mask_probability = 0;
  if (how == Pretraining::masks) out.mask_probability = 1;
  if (how == Pretraining::self_distillation) {
    out.distillation.weight = 1;
    // The two views of a picture must differ by more than a shift.
    out.augmentation = {.flip = true,
                        .random_resized_crop = RandomResizedCrop{.scale = {0.3, 1}},
                        .color_jitter = ColorJitter{.brightness = {0.6, 1.4},
                                                    .contrast = {0.6, 1.4},
                                                    .saturation = {0.6, 1.4},
                                                    .hue = {-0.1, 0.1}}};
  }
  return out;
}

/// 0 where pictures need not be resized.
index_t resized(index_t size, index_t input) { return size == input ? 0 : input; }

}  // namespace

std::string name_of(Pretraining how) {
  switch (how) {
    case Pretraining::labels: return "supervised";
    case Pretraining::masks: return "masked";
    case Pretraining::labels_and_masks: return "labels and masks";
    case Pretraining::self_distillation: return "self-distilled";
    case Pretraining::none: break;
  }
  return "random";
}

Rae<float> pretrained_encoder(Pretraining how, const OwnedPointer<const ImageDataset>& data,
                              const NetworkPlan& plan, index_t steps, std::uint64_t seed,
                              TrainingContext context) {
  const EncoderConfig config = encoder_config(plan);
  if (how == Pretraining::none) {
    Encoder<Tensor<float>> encoder(config);
    initialize(encoder, seed + 1000);
    return frozen(encoder_network(std::move(encoder)), kPixels, 0);
  }
  return frozen(
      encoder_network(train_encoder(data, config, kPixels, options_of(how),
                                    network_training(plan, steps, seed), std::move(context))),
      kPixels, 0);
}

Rae<float> encoder_of(const std::string& path, index_t size) {
  if (std::filesystem::is_directory(path)) {
    constexpr index_t kGrid = 4;
    PretrainedEncoder found = open_encoder_folder(path);
    Encoder<Tensor<float>> encoder(found.config);
    fill_weights(encoder, found.file, "encoder");
    return frozen(encoder_network(std::move(encoder)), found.pixels,
                  resized(size, kGrid * found.config.patch_size));
  }
  const Bundle bundle = Bundle::load(path);
  const Shape input = bundle.config.encoder_input_shape();  // (channels, H, W)
  if (input[0] != 3)
    raise<ConfigError>(path, ": the encoder is for gray pictures, those of an experiment have ",
                       "three channels; choose a model of coloured pictures");
  auto encoder = bundle.config.encoder.make();
  bundle.restore("encoder.", *encoder);
  return frozen(std::move(encoder), bundle.config.pixels, resized(size, input[1]));
}

Rae<float> shared_encoder(const Options& options, const OwnedPointer<const ImageDataset>& data,
                          const NetworkPlan& plan, index_t steps, const ConfigNode& settings) {
  if (!options.models.empty()) return encoder_of(options.models[0], plan.size);
  return pretrained_encoder(Pretraining::labels_and_masks, data, plan, steps, 0,
                            kept_training(options, "encoder", settings));
}

Rae<float> random_encoder(index_t width) {
  Encoder<Tensor<float>> encoder({.family = EncoderFamily::siglip2,
                                  .patch_size = kRandomSize / kRandomGrid,
                                  .hidden_size = width,
                                  .num_layers = 2,
                                  .num_heads = width / 16,
                                  .intermediate_size = 4 * width,
                                  .registers = 0,
                                  .table_h = kRandomGrid,
                                  .table_w = kRandomGrid});
  initialize(encoder, 1);
  return frozen(encoder_network(std::move(encoder)), {{0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}}, 0);
}

}  // namespace rae::experiments
