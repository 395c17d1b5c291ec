#include "rae/train/step_time.hpp"

#include <chrono>

#include "rae/models/dit_dh.hpp"
#include "rae/spec/network_role.hpp"

namespace rae {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kLeastSeconds = 0.5;
constexpr index_t kLeastSteps = 2, kMostSteps = 1'000'000;

/// Multiply-adds of the forward pass for one picture: each weight multiplies every token, and
/// attention has two products of tokens^2 * width.
double forward_products(const ModelConfig& model, NetworkRole role, index_t tokens,
                        double attention_widths) {
  const auto n = static_cast<double>(tokens);
  const auto weights = static_cast<double>(parameter_count(outline_of(model, role).parameters));
  return n * weights + 2 * n * n * attention_widths;
}

double encoder_products(const ModelConfig& model) {
  const auto* c = model.encoder.get_if<EncoderConfig>();
  if (c == nullptr)
    raise<ConfigError>("model.encoder: the operations of the encoder '", model.encoder.family(),
                       "' are unknown");
  const Shape input = model.encoder_input_shape();  // (C, H, W)
  const index_t tokens = input[1] / c->patch_size * (input[2] / c->patch_size);
  // The table of positions is no product, and large beside small networks.
  return forward_products(model, NetworkRole::encoder, tokens,
                          static_cast<double>(c->hidden_size * c->num_layers)) -
         static_cast<double>(tokens * c->table_h * c->table_w * c->hidden_size);
}

double decoder_products(const ModelConfig& model) {
  const DecoderConfig& c = *model.decoder;
  return forward_products(model, NetworkRole::decoder, c.grid_h * c.grid_w + 1,
                          static_cast<double>(c.hidden_size * c.num_layers));
}

double dit_products(const ModelConfig& model) {
  const auto* c = model.dit ? model.dit->get_if<DitDhConfig>() : nullptr;
  if (c == nullptr) raise<ConfigError>("model.dit: the operations of this network are unknown");
  return forward_products(
      model, NetworkRole::dit, c->grid_h * c->grid_w,
      static_cast<double>(c->hidden_size[0] * c->depth[0] + c->hidden_size[1] * c->depth[1]));
}

void train_a_little(const Recipe& recipe, const OwnedPointer<const ImageDataset>& data,
                    TrainingStage stage, TrainingOptions options, TrainingContext context) {
  const ModelConfig& model = recipe.model;
  if (stage == TrainingStage::encoder) {
    (void)train_encoder(data, model.encoder.get<EncoderConfig>(), model.pixels, recipe.pretraining,
                        options, std::move(context));
    return;
  }
  const OwnedPointer<EncoderNetwork<Tensor<float>>> encoder = model.encoder.make();
  if (stage == TrainingStage::decoder) {
    (void)train_decoder(data, *encoder, model.pixels, *model.decoder, recipe.decoder_loss, options,
                        std::move(context));
    return;
  }
  const Shape input = model.encoder_size > 0 ? model.encoder_input_shape() : Shape{0, 0, 0};
  const Rae<float> autoencoder{encoder, {}, {input[1], input[2], model.pixels, {}}};
  (void)train_flow(data, autoencoder, *model.dit, recipe.flow, options, std::move(context));
}

}  // namespace

double training_operations(const Recipe& recipe, TrainingStage stage) {
  const ModelConfig& model = recipe.model;
  const double encoder = encoder_products(model);
  // The backward pass has twice the products of the forward pass.
  switch (stage) {
    case TrainingStage::encoder:
      return 2 * 3 * encoder * static_cast<double>(recipe.encoder_training.batch_size);
    case TrainingStage::decoder: {
      // Tokens; features of both pictures, and the gradient of those of the reconstruction.
      const double passes = recipe.decoder_loss.perceptual_weight != 0 ? 4 : 1;
      return 2 * (3 * decoder_products(model) + passes * encoder) *
             static_cast<double>(recipe.decoder_training.batch_size);
    }
    case TrainingStage::dit:
      return 2 * (3 * dit_products(model) + encoder) *
             static_cast<double>(recipe.dit_training.batch_size);
    case TrainingStage::statistics: break;
  }
  return 2 * encoder;
}

double measure_step(const Recipe& recipe, const OwnedPointer<const ImageDataset>& data,
                    TrainingStage stage, DType dtype, const Function<bool()>& should_stop) {
  if (stage == TrainingStage::statistics)
    raise<ArgumentError>("measure_step: the stage statistics has no training steps");
  TrainingOptions options = stage == TrainingStage::encoder   ? recipe.encoder_training
                            : stage == TrainingStage::decoder ? recipe.decoder_training
                                                              : recipe.dit_training;
  options.steps = kMostSteps;
  options.checkpoint_every = kMostSteps;
  options.log_every = 1;
  options.dtype = dtype;
  double seconds = 0;
  index_t steps = 0;
  Clock::time_point start;
  TrainingContext context;
  context.stage = name_of(stage);
  context.on_progress = [&](const TrainingProgress& p) {
    if (should_stop && should_stop()) return false;
    const auto now = Clock::now();
    if (p.step == 1) start = now;
    steps = p.step - 1;
    seconds = std::chrono::duration<double>(now - start).count();
    return steps < kLeastSteps || seconds < kLeastSeconds;
  };
  try {
    train_a_little(recipe, data, stage, options, std::move(context));
  } catch (const Cancelled&) {
    if (steps < kLeastSteps || (should_stop && should_stop())) throw;
  }
  return seconds / static_cast<double>(steps);
}

}  // namespace rae
