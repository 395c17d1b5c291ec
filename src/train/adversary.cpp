#include "rae/train/adversary.hpp"

#include <algorithm>
#include <cmath>

#include "rae/formats/loss_networks.hpp"

namespace rae {

namespace {

using Pictures = Tensor<float>;  // (B, 3, H, W)

AdamWOptions adamw_options(const TrainingOptions& t) {
  return {.beta1 = t.beta1, .beta2 = t.beta2, .weight_decay = t.weight_decay};
}

DinoDiscriminator<Var<float>> initialized(DinoDiscriminator<Var<float>> discriminator,
                                          std::uint64_t seed) {
  initialize(discriminator, seed);
  return discriminator;
}

Pictures signed_pictures(const Pictures& x) { return signed_pixels(Var<float>(x)).value(); }

/// As stored in an 8-bit file: clamped to [-1, 1] and rounded to one of 256 levels, ties to the
/// even one.
Pictures rounded_to_levels(Pictures x) {
  float* pixels = x.data();
  for (index_t i = 0; i < x.numel(); ++i)
    pixels[i] =
        std::nearbyint((std::clamp(pixels[i], -1.0f, 1.0f) + 1.0f) * 127.5f) / 127.5f - 1.0f;
  return x;
}

/// Share of logits that are larger for a picture than for its reconstruction.
double accuracy(const Tensor<float>& real, const Tensor<float>& fake) {
  index_t right = 0;
  for (index_t i = 0; i < real.numel(); ++i) right += real[i] > fake[i] ? 1 : 0;
  return static_cast<double>(right) / static_cast<double>(real.numel());
}

}  // namespace

DinoDiscriminator<Var<float>> open_discriminator(const GanOptions& options) {
  DinoDiscConfig config;  // the settings that the backbone's file does not contain
  config.num_heads = options.num_heads;
  config.key_layers = options.key_layers;
  config.kernel_size = options.kernel_size;
  return open_dino_discriminator(options.backbone, config);
}

Adversary::Adversary(DinoDiscriminator<Var<float>> network, const GanOptions& options,
                     const TrainingOptions& training)
    : discriminator(initialized(std::move(network), training.seed)),
      optimizer(discriminator, adamw_options(training), 0.0),
      options_(options),
      schedule_(schedule_of(training)),
      max_grad_norm_(training.max_grad_norm) {}

LossGradient Adversary::operator()(const Tensor<float>& recon, const DiffAugDraws& draws) {
  const auto learnable = [this](bool on) {
    discriminator.parameters(
        [on](const std::string&, Parameter<Var<float>>& p) { p.value.set_requires_grad(on); });
  };
  learnable(false);
  LossGradient result = loss_gradient(recon, [&](const Var<float>& r) {
    return generator_loss(discriminator(diff_augment(signed_pixels(r), options_.augment, draws)));
  });
  learnable(true);
  measurements_["gan"] = result.value;
  return result;
}

void Adversary::learn(const Tensor<float>& recon, const Tensor<float>& images,
                      const DiffAugDraws& fake, const DiffAugDraws& real, double share) {
  const Pictures fakes =
      diff_augment(rounded_to_levels(signed_pictures(recon)), options_.augment, fake);
  const Pictures reals = diff_augment(signed_pictures(images), options_.augment, real);
  Tape<float> tape;
  const TapeScope<float> scope(tape);
  discriminator.power_iteration();
  const Var<float> fake_logits = discriminator(Var<float>(fakes));  // (B, heads * tokens)
  discriminator.power_iteration();
  const Var<float> real_logits = discriminator(Var<float>(reals));  // (B, heads * tokens)
  const Var<float> loss = discriminator_loss(options_.loss, real_logits, fake_logits);
  tape.backward(loss, Tensor<float>(loss.shape(), static_cast<float>(share)));
  measurements_["discriminator"] = static_cast<double>(loss.value()[0]);
  measurements_["discriminator_accuracy"] = accuracy(real_logits.value(), fake_logits.value());
}

void Adversary::step() { optimizer.step(schedule_(optimizer.steps()), max_grad_norm_); }

SecondModel Adversary::second_model() {
  SecondModel out{.name = "discriminator", .optimizer = &optimizer};
  discriminator.buffers([&](const std::string& name, Tensor<float>& tensor) {
    out.buffers.emplace_back(name, &tensor);
  });
  return out;
}

}  // namespace rae
