// Stage 1: one complete official iteration; and a run with LPIPS and a discriminator that is
// stopped and continued.
#include "rae/train/decoder_trainer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>

#include "rae/core/owner.hpp"
#include "rae/formats/fill_weights.hpp"
#include "rae/formats/loss_networks.hpp"
#include "rae/models/rae.hpp"
#include "support/golden_model.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_decoder_run.hpp"
#include "support/tiny_loss_networks.hpp"
#include "support/toy_dataset.hpp"

namespace rae::test {
namespace {

constexpr double kRate = 2e-4;

double largest(const Tensor<float>& x) {
  double most = 0;
  for (const float value : x.span()) most = std::max(most, std::abs(static_cast<double>(value)));
  return most;
}

/// Compares a model after its first step with the official one: the first moments, which are a
/// tenth of the gradients, and the parameters. The official tensors of one parameter,
/// `names(parameter)`, are concatenated. Of some matrices only the first rows are stored.
void expect_first_step(const AdamW<float>& optimizer, const Golden& io, const std::string& part,
                       const NameMap& names) {
  for (const auto& slot : optimizer.slots()) {
    index_t begin = 0;
    const std::vector<std::string> files = names(slot.name);
    for (const std::string& file : files) {
      const index_t size = slot.exp_avg.numel() / static_cast<index_t>(files.size());
      if (file.find("key.bias") !=
          std::string::npos) {  // softmax does not depend on it, so its gradient is rounding noise
        begin += size;
        continue;
      }
      const Tensor<float> gradient = io(part + ".grad." + file),
                          after = io(part + ".after." + file);  // each as in the file
      // gradient's shape, after's shape
      Tensor<float> moment(gradient.shape()), parameter(after.shape());
      for (index_t i = 0; i < gradient.numel(); ++i) {
        moment[i] = 10 * slot.exp_avg[begin + i];
        // Adam's first step is g / (|g| + eps), so gradients that are rounding noise make steps of
        // any size. The steps may differ by as much as the difference of the gradients implies, and
        // by no more.
        const auto step = [](double g) { return kRate * g / (std::abs(g) + 1e-8); };
        const double difference =
            step(static_cast<double>(moment[i])) - step(static_cast<double>(gradient[i]));
        parameter[i] =
            static_cast<float>(static_cast<double>(slot.parameter.value()[begin + i]) + difference);
      }
      EXPECT_TRUE(close(moment, gradient, 1e-4 * largest(gradient) + 1e-6)) << file;
      EXPECT_TRUE(close_each(parameter, after, [&](index_t i) {
        return 1e-4 * kRate + 2e-7 * std::abs(double{after[i]});
      })) << file;
      begin += size;
    }
  }
}

DiffAugDraws draws_of(const Golden& io, const std::string& pictures) {
  DiffAugDraws draws;  // with probability 1, all groups are enabled
  draws.pictures = io(pictures);
  return draws;
}

TEST(DecoderTrainer, OneIterationMatchesTheOfficialOne) {
  const Golden io("stage1_step/io.safetensors"), weights("stage1_step/weights.safetensors"),
      heads("stage1_step/disc_heads.safetensors");
  Encoder<Tensor<float>> encoder({.patch_size = 14,
                                  .hidden_size = 16,
                                  .num_layers = 1,
                                  .num_heads = 2,
                                  .intermediate_size = 32,
                                  .table_h = 3,
                                  .table_w = 3});
  fill_weights(encoder, {TensorSource(weights.file()),
                         encoder_names(EncoderFamily::dinov2, "encoder.encoder.")});
  const NameMap names = decoder_names();
  Decoder<Var<float>> decoder({.grid_h = 2,
                               .grid_w = 2,
                               .in_dim = 16,
                               .hidden_size = 24,
                               .num_layers = 2,
                               .num_heads = 2,
                               .intermediate_size = 40,
                               .patch_size = 16});
  fill_weights(decoder, {TensorSource(weights.file()).under("decoder."), names});

  const TrainingOptions training{
      .steps = 1, .batch_size = 2, .lr = kRate, .max_grad_norm = 0, .ema_decay = 0.9978};
  const PixelNorm pixels;
  DecoderLossOptions options{.perceptual_weight = 0, .encoder_size = 28};
  options.lpips = {.weights = {data_path("golden/stage1_step/lpips.safetensors")}};
  options.gan = {.backbone = data_path("golden/stage1_step/dino.safetensors"),
                 .num_heads = 2,
                 .key_layers = {0, 2},
                 .kernel_size = 3};
  const auto network = encoder_network(encoder);
  DecoderIteration iteration(decoder, *network, pixels, options, training, 1);
  Adversary& adversary = *iteration.adversary();
  load(adversary.discriminator, heads);
  adversary.discriminator.buffers(
      [&](const std::string& name, Tensor<float>& t) { t = heads(name); });

  // (2, 3, 32, 32), (2), (2, 4, 16)
  const Tensor<float> images = io("images"), uniform = io("tau_uniform"), gauss = io("tau_gauss");
  const Tensor<float> tokens =
      encoder(encoder_input(images, options.encoder_size, pixels));  // (2, 4, 16)
  Tensor<float> noisy(tokens.shape());                               // (2, 4, 16)
  for (index_t i = 0; i < noisy.numel(); ++i)
    noisy[i] = tokens[i] + 0.8f * uniform[i / 64] * gauss[i];

  // The training loop of the library, with the official random numbers.
  AdamW<float> optimizer(decoder, {}, training.ema_decay);
  SecondModel second_model = adversary.second_model();
  second_model.train_step = [&](index_t) {
    // The reconstruction of this library differs from the official one in only one of 6144 values,
    // which is at the boundary between two of the 256 levels. To agree there as well, the official
    // one is used.
    const Tensor<float> official = io("disc.recon");  // (2, 3, 32, 32)
    EXPECT_TRUE(close(iteration.reconstruct(tokens).value(), official, 1e-5));
    adversary.learn(official, images, draws_of(io, "disc.fake_rand01"),
                    draws_of(io, "disc.real_rand01"));
    adversary.step();
  };
  TrainingContext context;
  double total = 0;
  context.on_progress = [&](const TrainingProgress& p) {
    total = p.loss;
    return true;
  };
  const auto loss = [&](index_t step, index_t) {
    EXPECT_TRUE(close(iteration.reconstruct(noisy).value(), io("gen.recon"), 1e-5));
    return iteration.loss(step, noisy, images, draws_of(io, "gen.aug_rand01"));
  };
  run_training(optimizer, training, context, loss, &second_model);

  const std::map<std::string, double> measured = iteration.measurements();
  EXPECT_TRUE(near(measured.at("l1"), io("gen.rec_loss"), 1e-6));
  EXPECT_TRUE(near(measured.at("lpips"), io("gen.lpips"), 1e-5));
  EXPECT_TRUE(near(measured.at("gan"), io("gen.gan_loss"), 1e-4));
  EXPECT_TRUE(near(measured.at("adaptive_weight"), io("gen.adaptive_weight"), 1e-4));
  EXPECT_TRUE(near(total, io("gen.total"), 1e-4));
  expect_first_step(optimizer, io, "gen", names);
  for (const auto& slot : optimizer.slots()) {
    if (slot.name != "decoder_pred.weight") continue;
    const Tensor<float> expected = io("ema." + slot.name);  // the first rows are stored
    Tensor<float> average(expected.shape());                // expected's shape
    for (index_t i = 0; i < expected.numel(); ++i) average[i] = slot.ema[i];
    EXPECT_TRUE(close(average, expected, 1e-7));
  }

  EXPECT_TRUE(near(measured.at("discriminator"), io("disc.loss"), 1e-5));
  EXPECT_TRUE(near(measured.at("discriminator_accuracy"), io("disc.accuracy"), 1e-6));
  expect_first_step(adversary.optimizer, io, "disc",
                    [](const std::string& name) { return std::vector<std::string>{name}; });
}

TEST(DecoderTrainer, AContinuedRunWithADiscriminatorEqualsAnUninterruptedOneBitForBit) {
  const TempFolder folder;
  TinyRun whole;
  whole.context.folder = folder / "whole";
  std::filesystem::create_directory(whole.context.folder);
  const std::vector<float> expected = whole.train();
  for (const index_t stop_after : {1, 3, 5}) {
    TinyRun run;
    run.context.folder = folder / std::to_string(stop_after);
    std::filesystem::create_directory(run.context.folder);
    run.context.on_progress = [&](const TrainingProgress& p) { return p.step != stop_after; };
    EXPECT_THROW((void)run.train(), Cancelled);
    EXPECT_EQ(run.train(), expected) << stop_after;
    // The checkpoint also contains the discriminator, its moments and the vectors of its power
    // iterations.
    EXPECT_EQ(slurp(run.context.folder + "/checkpoint.safetensors"),
              slurp(whole.context.folder + "/checkpoint.safetensors"))
        << stop_after;
  }
}

TEST(DecoderTrainer, LossesBeginAtTheirSteps) {
  TinyRun run;
  std::vector<std::map<std::string, double>> steps;
  run.context.on_progress = [&](const TrainingProgress& p) {
    steps.push_back(p.measurements);
    return true;
  };
  (void)run.train();
  ASSERT_EQ(steps.size(), 7u);
  for (std::size_t i = 0; i < 7; ++i) {
    EXPECT_EQ(steps[i].count("lpips"), i >= 1 ? 1u : 0u) << i;
    EXPECT_EQ(steps[i].count("discriminator"), i >= 2 ? 1u : 0u) << i;
    EXPECT_EQ(steps[i].count("gan"), i >= 4 ? 1u : 0u) << i;
    EXPECT_EQ(steps[i].at("adaptive_weight") > 0, i >= 4) << i;
  }
  // Before the adversarial loss begins, the discriminator does not affect the decoder.
  TinyRun early, plain;
  early.options.steps = plain.options.steps = 4;
  plain.loss.gan.reset();
  EXPECT_EQ(early.train(), plain.train());
  early.options.steps = plain.options.steps = 5;
  EXPECT_NE(early.train(), plain.train());
}

TEST(DecoderTrainer, TheAdaptiveWeightIsLimited) {
  TinyRun run;
  run.loss.gan->max_weight = 1e-3;
  double weight = 0;
  run.context.on_progress = [&](const TrainingProgress& p) {
    weight = p.measurements.at("adaptive_weight");
    return true;
  };
  (void)run.train();
  EXPECT_EQ(weight, 1e-3);
}

TEST(DecoderTrainer, TheDiscriminatorLearnsToDistinguishPictures) {
  TinyRun run;
  for (const GanLoss kind : {GanLoss::hinge, GanLoss::vanilla}) {
    GanOptions options = *run.loss.gan;
    options.loss = kind;
    options.augment.prob = 0;
    Adversary adversary(open_dino_discriminator(options.backbone, tiny_disc_config()), options,
                        {.steps = 1000, .lr = 2e-2, .final_lr = 2e-2, .max_grad_norm = 0});
    Tensor<float> real(Shape{2, 3, 16, 16}), fake(Shape{2, 3, 16, 16});  // (2, 3, 16, 16) each
    for (index_t i = 0; i < real.numel(); ++i)
      real[i] = Philox(1, 1).uniform(static_cast<std::uint64_t>(i)), fake[i] = 0.2f;
    const DiffAugDraws draws = draw_diff_augment(2, 1, 1);
    const LossGradient before = adversary(fake, draws);
    double first = 0;
    for (int step = 0; step < 60; ++step) {
      adversary.learn(fake, real, draws, draws);
      if (step == 0) first = adversary.measurements().at("discriminator");
      adversary.step();
    }
    EXPECT_LT(adversary.measurements().at("discriminator"), 0.7 * first);
    EXPECT_GT(adversary.measurements().at("discriminator_accuracy"), 0.9);
    EXPECT_GT(adversary(fake, draws).value,
              before.value);  // the loss of the generator increases
  }
}

TEST(DecoderTrainer, RefusesPicturesWithoutThreeChannels) {
  TinyRun run;
  run.config.channels = 1;
  run.data = std::make_shared<ToyDataset>(12, 16, 3, 1);
  EXPECT_NE(message_of<ConfigError>([&] { (void)run.train(); }).find("3 channels"),
            std::string::npos);
}

}  // namespace
}  // namespace rae::test
