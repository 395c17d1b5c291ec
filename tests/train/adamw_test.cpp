#include "rae/train/adamw.hpp"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "rae/formats/fill_weights.hpp"
#include "rae/ops/loss.hpp"
#include "rae/train/decoder_trainer.hpp"
#include "rae/train/lr_schedule.hpp"
#include "support/golden_model.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::Golden;

/// Compares a parameter, or its average, with the official one. `travel` is the sum of the learning
/// rates of all steps so far. Adam divides by the magnitude of the gradient, so where the first
/// gradient was only rounding noise, the update is arbitrary, too.
void expect_updated(const Tensor<float>& actual, const Tensor<float>& expected,
                    const Tensor<float>& first_gradient, double travel, const std::string& name) {
  ASSERT_EQ(actual.numel(), expected.numel()) << name;
  const double largest = test::largest(first_gradient);
  EXPECT_TRUE(test::close_each(actual, expected.reshaped(actual.shape()), [&](index_t i) {
    const bool noise = std::abs(static_cast<double>(first_gradient[i])) < 1e-6 * largest;
    return 1e-6 + (noise ? 0.02 : 0.01) * travel;
  })) << name;
}

// Three official training steps: losses, gradient norms, parameters after the first and third step,
// and the averages.
TEST(AdamW, FollowsTheOfficialTrajectory) {
  const Golden io("ddt_train/io.safetensors"), weights("ddt_train/weights.safetensors");
  const DitDhConfig config = test::dit_dh_config(test::golden_config("ddt_train"));
  DitDh<Var<float>> model(config);
  test::load(model, weights);
  AdamW<float> optimizer(model, {}, 0.9995);
  std::vector<Tensor<float>> first_gradients;
  auto expect_parameters = [&](const std::string& prefix, bool average, double steps) {
    std::size_t n = 0;
    for (const auto& slot : optimizer.slots())
      expect_updated(average ? slot.ema : slot.parameter.value(), io(prefix + slot.name),
                     first_gradients[n++], 2e-4 * steps, prefix + slot.name);
  };
  for (int step = 0; step < 3; ++step) {
    const std::string at = "step" + std::to_string(step) + ".";
    const Tensor<float> x1 = io(at + "x1"), x0 = io(at + "x0"), t = io(at + "t"),
                        drop = io(at + "drop_u");  // (B, C, h, w), (B, C, h, w), (B), (B)
    Tensor<std::int64_t> y = io.get<std::int64_t>(at + "y");  // (B)
    for (index_t i = 0; i < y.numel(); ++i)
      if (drop[i] < static_cast<float>(config.class_dropout_prob)) y[i] = config.num_classes;
    Tensor<float> xt(x1.shape()), target(x1.shape());  // (B, C, h, w) each
    const index_t n = x1.numel() / x1.extent(0);
    for (index_t i = 0; i < x1.numel(); ++i) {
      xt[i] = (1 - t[i / n]) * x1[i] + t[i / n] * x0[i];
      target[i] = x0[i] - x1[i];
    }
    Tape<float> tape;
    {
      const TapeScope<float> scope(tape);
      const Var<float> loss = mse_loss(model(Var<float>(xt), t, y.span()), target);
      EXPECT_TRUE(test::near(loss.value()[0], io(at + "loss"), 1e-5));
      tape.backward(loss);
    }
    if (step == 0)
      for (const auto& slot : optimizer.slots()) first_gradients.push_back(slot.parameter.grad());
    const double norm = optimizer.step(static_cast<double>(io(at + "lr")[0]), 1.0);
    EXPECT_TRUE(test::near(norm, io(at + "grad_norm"), 1e-4 * norm));
    if (step == 0) expect_parameters("after1.", false, 1);
  }
  expect_parameters("after3.", false, 3);
  expect_parameters("ema3.", true, 3);
}

// L1 training of the decoder: three official steps with weight decay and warm-up of the learning
// rate, with the loss of the trainer.
TEST(AdamW, FollowsTheOfficialTrajectoryOfTheDecoder) {
  const Golden io("decoder_train/io.safetensors"), weights("decoder_train/weights.safetensors");
  const ConfigNode node = test::golden_config("decoder_train");
  const DecoderConfig config = test::decoder_config(node);
  Decoder<Var<float>> decoder(config);
  const NameMap names = decoder_names();
  fill_weights(decoder, {TensorSource(weights.file()), names});
  // Without a perceptual term the loss never runs the encoder, so any encoder can be given.
  Encoder<Tensor<float>> unused(EncoderConfig{.hidden_size = 2,
                                              .num_layers = 0,
                                              .num_heads = 1,
                                              .intermediate_size = 2,
                                              .table_h = 1,
                                              .table_w = 1});
  PixelNorm pixels;
  const auto mean = node.get<std::vector<double>>("image_mean"),
             deviation = node.get<std::vector<double>>("image_std");
  std::copy_n(mean.begin(), 3, pixels.mean.begin());
  std::copy_n(deviation.begin(), 3, pixels.std.begin());
  const auto network = encoder_network(unused);
  DecoderIteration iteration(decoder, *network, pixels, {.perceptual_weight = 0}, {}, 1);
  const ConfigNode& o = node.at("training").at("optimizer");
  AdamWOptions options;
  options.weight_decay = o.get<double>("weight_decay");
  AdamW<float> optimizer(decoder, options, node.get<double>("ema_decay"));

  // Concatenates the official tensors that make up one parameter. The key bias is left out: softmax
  // does not depend on it, so its gradient and Adam's steps are rounding noise.
  const auto expect_parameters = [&](const std::string& prefix, bool average,
                                     const std::vector<Tensor<float>>& gradients, double travel) {
    std::size_t n = 0;
    for (const auto& slot : optimizer.slots()) {
      const Tensor<float>&actual = average ? slot.ema : slot.parameter.value(),
            &gradient = gradients[n++];  // each of the shape of the parameter
      std::size_t row = 0;
      for (const std::string& file : names(slot.name)) {
        const Tensor<float> expected = io(prefix + file);  // as in the file
        const auto count = static_cast<std::size_t>(expected.numel());
        const auto part = [&](const Tensor<float>& all) {
          return Tensor<float>(Shape{expected.numel()}, all.span().subspan(row, count));
        };
        if (file.find("key.bias") == std::string::npos)
          expect_updated(part(actual), expected, part(gradient), travel, prefix + file);
        row += count;
      }
      ASSERT_EQ(static_cast<index_t>(row), actual.numel()) << slot.name;
    }
  };
  std::vector<Tensor<float>> first_gradients;
  double travel = 0;
  for (int step = 0; step < 3; ++step) {
    const std::string at = "step" + std::to_string(step) + ".";
    Tape<float> tape;
    {
      const TapeScope<float> scope(tape);
      const Var<float> loss = iteration.loss(step, io(at + "tokens"), io(at + "target"), {});
      EXPECT_TRUE(test::near(loss.value()[0], io(at + "loss"), 1e-5)) << step;
      tape.backward(loss);
    }
    if (step == 0)
      for (const auto& slot : optimizer.slots()) first_gradients.push_back(slot.parameter.grad());
    const auto lr = static_cast<double>(io(at + "lr")[0]);
    optimizer.step(lr);
    travel += lr;
    if (step == 0) expect_parameters("after1.", false, first_gradients, travel);
  }
  expect_parameters("after3.", false, first_gradients, travel);
  expect_parameters("ema3.", true, first_gradients, travel);
}

struct OneWeight {
  Parameter<Var<float>> weight{Shape{2}};
  template <class F>
  void parameters(F&& f) {
    f(std::string("weight"), weight);
  }
};

TEST(AdamW, RefusesAGradientThatIsNotFinite) {
  OneWeight model;
  AdamW<float> optimizer(model);
  model.weight.value.accumulate(Tensor<float>(Shape{2}, {1.f, NAN}));
  EXPECT_THROW(optimizer.step(0.1), NumericError);
  EXPECT_EQ(model.weight.tensor()[0], 0.f);
  EXPECT_EQ(optimizer.steps(), 0);
}

class Schedules : public testing::TestWithParam<const char*> {};

TEST_P(Schedules, MatchGolden) {
  const std::string name = GetParam();
  const ConfigNode all = test::golden_config("lr_schedules");
  const ConfigNode &node = all.at(name), &s = node.at("scheduler");
  const auto per_epoch = node.get<index_t>("steps_per_epoch");
  LrSchedule schedule{
      .decay = s.get<std::string>("type") == "cosine" ? LrDecay::cosine : LrDecay::linear,
      .base_lr = s.get<double>("base_lr"),
      .final_lr = s.get<double>("final_lr"),
      .warmup_steps = s.contains("warmup_steps") ? s.get<index_t>("warmup_steps")
                                                 : s.get<index_t>("warmup_epochs") * per_epoch,
      .decay_end_step = s.contains("decay_end_steps")
                            ? s.get<index_t>("decay_end_steps")
                            : s.get<index_t>("decay_end_epoch") * per_epoch,
      .warmup_from_zero = s.get<bool>("warmup_from_zero")};
  const Golden io("lr_schedules/io.safetensors");
  const Tensor<std::int64_t> steps = io.get<std::int64_t>(name + ".step");  // (N)
  Tensor<double> rates(steps.shape());                                      // (N)
  for (index_t i = 0; i < steps.numel(); ++i) rates[i] = schedule(steps[i]);
  EXPECT_TRUE(close(rates, io.get<double>(name + ".lr"), 1e-15));
}

INSTANTIATE_TEST_SUITE_P(Cases, Schedules,
                         testing::Values("stage2_256", "stage1", "steps_cfg", "linear_warmup"));

}  // namespace
}  // namespace rae
