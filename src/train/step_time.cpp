#include "rae/train/step_time.hpp"

#include <algorithm>
#include <chrono>
#include <limits>

#include "rae/models/dit_dh.hpp"
#include "rae/spec/network_role.hpp"

namespace rae {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kRoundSeconds = 0.1, kManySeconds = 2;
constexpr index_t kRounds = 12, kLeastRounds = 2, kWarmUpSteps = 2, kMostSteps = 1'000'000;
constexpr index_t kEncoded = 16;  // pictures that are encoded together

/// Measures rounds of at least `kRoundSeconds`. The fastest round counts, since other programs can
/// only slow a round down. Slow steps get fewer rounds.
class Stopwatch {
 public:
  /// After each step. Whether enough is known.
  bool step() {
    const auto now = Clock::now();
    if (++steps_ <= kWarmUpSteps) {
      start_ = begin_ = now;
      return false;
    }
    ++in_round_;
    const double seconds = std::chrono::duration<double>(now - start_).count();
    if (seconds < kRoundSeconds) return false;
    best_ = std::min(best_, seconds / static_cast<double>(in_round_));
    ++rounds_;
    in_round_ = 0;
    start_ = now;
    return rounds_ >= kRounds ||
           (rounds_ >= kLeastRounds &&
            std::chrono::duration<double>(now - begin_).count() >= kManySeconds);
  }

  /// Seconds of a step in the fastest round.
  [[nodiscard]] double best() const { return best_; }

 private:
  Clock::time_point start_{}, begin_{};
  index_t steps_ = 0, in_round_ = 0, rounds_ = 0;
  double best_ = std::numeric_limits<double>::infinity();
};

/// Seconds in which the frozen encoder encodes a picture.
double measure_encoding(const Recipe& recipe, const ImageDataset& data,
                        const Function<bool()>& should_stop) {
  const ModelConfig& model = recipe.model;
  const OwnedPointer<EncoderNetwork<Tensor<float>>> encoder = model.encoder.make();
  pack_parameters(*encoder);
  const Tensor<float> images(
      Shape{kEncoded, data.channels(), data.height(), data.width()});  // (B, C, H, W)
  const Shape input = model.encoder_input_shape();
  Stopwatch watch;
  do {
    if (should_stop && should_stop()) raise<Cancelled>("interrupted while measuring");
    (void)(*encoder)(encoder_input(images, input[1], input[2], model.pixels));
  } while (!watch.step());
  return watch.best() / static_cast<double>(kEncoded);
}

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
         (c->has_rope() ? 0.0
                        : static_cast<double>(tokens * c->table_h * c->table_w * c->hidden_size));
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
      return 2 * 3 * dit_products(model) * static_cast<double>(recipe.dit_training.batch_size);
    case TrainingStage::statistics: break;
  }
  return 2 * encoder;
}

double measure_step(const Recipe& recipe, const OwnedPointer<const ImageDataset>& data,
                    TrainingStage stage, DType dtype, const Function<bool()>& should_stop) {
  if (stage == TrainingStage::statistics) return measure_encoding(recipe, *data, should_stop);
  Recipe measured = recipe;
  // So that all latents are kept after the first step.
  measured.flow.augmentation.flip = false;
  TrainingOptions options = stage == TrainingStage::encoder   ? recipe.encoder_training
                            : stage == TrainingStage::decoder ? recipe.decoder_training
                                                              : recipe.dit_training;
  options.steps = kMostSteps;
  options.checkpoint_every = kMostSteps;
  options.log_every = 1;
  options.dtype = dtype;
  Stopwatch watch;
  bool known = false;
  TrainingContext context;
  context.stage = name_of(stage);
  context.on_progress = [&](const TrainingProgress&) {
    if (should_stop && should_stop()) return false;
    return !(known = watch.step());
  };
  try {
    train_a_little(measured, slice(data, 0, std::min(options.batch_size, data->size())), stage,
                   options, std::move(context));
  } catch (const Cancelled&) {
    if (!known) throw;
  }
  return watch.best();
}

}  // namespace rae
