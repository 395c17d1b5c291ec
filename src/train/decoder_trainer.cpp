#include "rae/train/decoder_trainer.hpp"

#include <algorithm>
#include <map>

#include "rae/core/owner.hpp"
#include "rae/formats/loss_networks.hpp"
#include "rae/models/initialize.hpp"
#include "rae/models/rae.hpp"
#include "rae/ops/loss.hpp"
#include "train/held_out.hpp"

namespace rae {

namespace {

/// Streams of the seed from which DiffAug draws, apart from those of samples and epochs
/// (`Batches`).
constexpr std::uint64_t kAugmentStream = std::uint64_t{1} << 60;

/// The inputs of the discriminator's training step, for one part of a batch.
struct Part {
  Tensor<float> tokens, images;  // (B, N, D), (B, C, H, W)
};

/// The draws for some of the pictures.
DiffAugDraws pictures_of(const DiffAugDraws& all, const RankPart& part) {
  const index_t kinds = all.pictures.extent(0), count = all.pictures.extent(1);
  DiffAugDraws out{all.groups, Tensor<float>(Shape{kinds, part.count()})};  // (7, B)
  for (index_t kind = 0; kind < kinds; ++kind)
    copy_elements(all.pictures.data() + kind * count + part.begin, part.count(),
                  out.pictures.data() + kind * part.count());
  return out;
}

void require_fit(const ImageDataset& data, const EncoderNetwork<Tensor<float>>& encoder,
                 const DecoderConfig& config, const DecoderLossOptions& options,
                 const std::string& stage) {
  if (config.in_dim != encoder.shape().width)
    raise<ConfigError>(stage, ": the decoder expects tokens of ", config.in_dim,
                       " channels, the encoder makes ", encoder.shape().width);
  if (data.channels() != config.channels || data.height() != config.grid_h * config.patch_size ||
      data.width() != config.grid_w * config.patch_size)
    raise<ConfigError>(stage, ": the decoder makes pictures of ", config.channels, " x ",
                       config.grid_h * config.patch_size, " x ", config.grid_w * config.patch_size,
                       ", the data set has ", data.channels(), " x ", data.height(), " x ",
                       data.width());
  if ((options.lpips || options.gan) && config.channels != 3)
    raise<ConfigError>(
        stage, ": LPIPS and the discriminator judge pictures of 3 channels, the decoder makes ",
        config.channels);
}

}  // namespace

DecoderIteration::DecoderIteration(Decoder<Var<float>>& decoder,
                                   const EncoderNetwork<Tensor<float>>& encoder,
                                   const PixelNorm& pixels, const DecoderLossOptions& options,
                                   const TrainingOptions& training, index_t steps_per_epoch)
    : decoder_(decoder),
      pixels_(pixels),
      output_(options.output),
      reconstruction_(encoder, pixels, options.perceptual_weight, options.encoder_size,
                      options.encoder_width) {
  if (options.lpips)
    reconstruction_.add_lpips(open_lpips(options.lpips->weights), options.lpips->weight,
                              options.lpips->start.first_step(steps_per_epoch));
  if (!options.gan) return;
  TrainingOptions unclipped = training;
  unclipped.max_grad_norm = 0;
  adversary_.emplace(open_discriminator(*options.gan), *options.gan,
                     options.gan->training.value_or(unclipped));
  weight_ = options.gan->weight;
  max_weight_ = options.gan->max_weight;
  first_step_ = options.gan->start.first_step(steps_per_epoch);
  discriminator_first_step_ = options.gan->discriminator_start.first_step(steps_per_epoch);
}

Var<float> DecoderIteration::picture(const Var<float>& image) const {
  return output_ == PixelRange::unit ? image : affine_pixels(image, pixels_.std, pixels_.mean);
}

Var<float> DecoderIteration::reconstruct(const Tensor<float>& tokens) const {
  return picture(decoder_(Var<float>(tokens)));
}

Tensor<float> DecoderIteration::at_last_layer(const Var<float>& hidden,
                                              const Tensor<float>& gradient) const {
  const Var<float> weight = decoder_.pred.weight.value.detached(true);  // (P*P*C, H)
  Tape<float> tape;
  const TapeScope<float> scope(tape);
  tape.backward(picture(decoder_.image_of(
                    linear(hidden.detached(), weight, decoder_.pred.bias.value.detached()))),
                gradient);
  if (!add_over_ranks_) return weight.grad();
  Tensor<float> mean(weight.shape());  // (P*P*C, H)
  axpby<float>(static_cast<float>(share_), weight.grad(), 0.0f, weight.grad(), mean);
  add_over_ranks_(mean.span());
  return mean;
}

Var<float> DecoderIteration::loss(index_t step, const Tensor<float>& tokens,
                                  const Tensor<float>& images, const DiffAugDraws& draws) {
  const DecoderConfig& config = decoder_.config();
  const Var<float> hidden =
      decoder_.hidden(Var<float>(tokens), config.grid_h, config.grid_w);       // (B, 1+N, H)
  const Var<float> recon = picture(decoder_.image_of(decoder_.pred(hidden)));  // (B, C, H, W)
  if (!adversary_ || step < first_step_ || weight_ == 0)
    return reconstruction_(recon, images, step);

  // The decoder is passed backwards once, with the weighted sum of both gradients at its picture.
  const LossGradient rec = loss_gradient(
      recon.value(), [&](const Var<float>& r) { return reconstruction_(r, images, step); });
  const LossGradient gan = (*adversary_)(recon.value(), draws);
  adaptive_weight_ = adaptive_gan_weight(at_last_layer(hidden, rec.gradient),
                                         at_last_layer(hidden, gan.gradient), max_weight_);
  const double weight = weight_ * adaptive_weight_;
  return add(known_loss(static_cast<float>(rec.value), rec.gradient, recon),
             scale(known_loss(static_cast<float>(gan.value), gan.gradient, recon),
                   static_cast<float>(weight)));
}

Var<float> DecoderIteration::reconstruction_loss(index_t step, const Tensor<float>& tokens,
                                                 const Tensor<float>& images) const {
  return reconstruction_(reconstruct(tokens), images, step);
}

bool DecoderIteration::discriminator_learns(index_t step) const noexcept {
  return adversary_ && weight_ > 0 && step >= discriminator_first_step_;
}

void DecoderIteration::learn_discriminator(const Tensor<float>& tokens, const Tensor<float>& images,
                                           const DiffAugDraws& fake, const DiffAugDraws& real,
                                           double share) {
  adversary_->learn(reconstruct(tokens).value(), images, fake, real, share);
}

std::map<std::string, double> DecoderIteration::measurements() const {
  std::map<std::string, double> out = reconstruction_.measurements();
  if (adversary_) out.insert(adversary_->measurements().begin(), adversary_->measurements().end());
  if (adversary_) out["adaptive_weight"] = adaptive_weight_;
  return out;
}

Decoder<Tensor<float>> train_decoder(OwnedPointer<const ImageDataset> data,
                                     const EncoderNetwork<Tensor<float>>& encoder,
                                     const PixelNorm& pixels, const DecoderConfig& config,
                                     const DecoderLossOptions& loss_options,
                                     const TrainingOptions& options, TrainingContext context,
                                     const OnAverageDecoder& on_average) {
  require_fit(*data, encoder, config, loss_options, context.stage);
  const auto frozen = encoder.clone();
  Decoder<Var<float>> model(config);
  initialize(model, options.seed);
  set_initial_values(model, context.initial);
  multiply_as(model, options.dtype);
  AdamW<float> optimizer = make_optimizer(model, options);
  const index_t part_size = options.batch_size / options.accumulate;
  Batches batches(data, part_size, options.seed, loss_options.augmentation);
  DecoderIteration iteration(model, *frozen, pixels, loss_options, options,
                             std::max<index_t>(1, data->size() / options.batch_size));
  const RankPart own = context.ranks.part(part_size);
  const double share = static_cast<double>(own.count()) / static_cast<double>(part_size);
  if (context.ranks.several())
    iteration.share_batches([communicator = context.ranks.communicator](
                                std::span<float> values) { communicator->all_reduce(values); },
                            share);
  pack_parameters(*frozen);  // after the perceptual loss has copied its elements

  // Draw `use` of a part of a step: 0 is the decoder's, then fake and real of each update of the
  // discriminator.
  const index_t updates = loss_options.gan ? loss_options.gan->updates : 0;
  const auto draws = [&](index_t step, index_t part, index_t use) {
    if (!loss_options.gan) return DiffAugDraws{};
    const auto number =
        static_cast<std::uint64_t>((step * options.accumulate + part) * (1 + 2 * updates) + use);
    const DiffAugDraws all = draw_diff_augment(part_size, options.seed, kAugmentStream + number);
    return own.count() == part_size ? all : pictures_of(all, own);
  };
  const index_t encoder_height = loss_options.encoder_size,
                encoder_width =
                    loss_options.encoder_width > 0 ? loss_options.encoder_width : encoder_height;
  std::vector<Part> parts;  // of this step
  const StepLoss loss = [&](index_t step, index_t part) {
    const Batch batch = batches(step * options.accumulate + part, own.begin, own.end);
    const Tensor<float> tokens =
        (*frozen)(encoder_input(batch.images, encoder_height, encoder_width, pixels));  // (B, N, D)
    if (part == 0) parts.clear();
    if (iteration.discriminator_learns(step)) parts.push_back({tokens, batch.images});
    const Tensor<float> noisy = noise_augment(tokens, loss_options.noise_tau,
                                              loss_options.noise_law, options.seed, batch.first);
    return iteration.loss(step, noisy, batch.images, draws(step, part, 0));
  };
  std::optional<SecondModel> second_model;
  if (Adversary* adversary = iteration.adversary()) {
    second_model = adversary->second_model();
    second_model->measurements = [&] { return iteration.measurements(); };
    second_model->train_step = [&, adversary](index_t step) {
      if (!iteration.discriminator_learns(step)) return;
      for (index_t update = 0; update < updates; ++update) {
        for (index_t part = 0; part < options.accumulate; ++part) {
          const Part& p = parts[static_cast<std::size_t>(part)];
          iteration.learn_discriminator(p.tokens, p.images, draws(step, part, 1 + 2 * update),
                                        draws(step, part, 2 + 2 * update),
                                        share / static_cast<double>(options.accumulate));
        }
        adversary->step();
      }
    };
  }
  if (const detail::HeldOut held_out(context.held_out, part_size); !held_out.empty())
    context.held_out_loss = [&, held_out](index_t step) {
      return held_out.mean([&](const Batch& batch) {
        const Tensor<float> tokens = (*frozen)(
            encoder_input(batch.images, encoder_height, encoder_width, pixels));  // (B, N, D)
        return iteration.reconstruction_loss(
            step,
            noise_augment(tokens, loss_options.noise_tau, loss_options.noise_law, options.seed,
                          batch.first),
            batch.images);
      });
    };
  Decoder<Tensor<float>> averaged(config);
  if (on_average)
    context.on_checkpoint = [&, then = context.on_checkpoint](index_t step) {
      optimizer.copy_ema_to(averaged);
      on_average(step, averaged);
      if (then) then(step);
    };
  run_training(optimizer, options, context, loss, second_model ? &*second_model : nullptr);
  optimizer.copy_ema_to(averaged);
  return averaged;
}

}  // namespace rae
