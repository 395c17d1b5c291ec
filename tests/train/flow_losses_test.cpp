// The training loss of RAEv2: data prediction with a floor, a base head and REPA, and three steps
// of its optimizer, against the official code.
#include <gtest/gtest.h>

#include <map>

#include "rae/formats/fill_weights.hpp"
#include "rae/models/token_dit_dh.hpp"
#include "rae/train/adamw.hpp"
#include "rae/train/flow_loss.hpp"
#include "support/golden.hpp"
#include "support/golden_token_dit.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::Golden;

using Model = TokenDitDh<Var<float>>;

/// The sizes of the golden network.
TokenDitDhConfig sizes() { return test::token_dit_dh_sizes(test::golden_config("v2_train")); }

/// The golden network with its initial weights.
Model golden_model() {
  Model model(sizes());
  fill_weights(model, {TensorSource::open(test::data_path("golden/v2_train/weights.safetensors")),
                       token_dit_names(true)});
  return model;
}

/// The times of a golden step: given, or shift(sigmoid(normal)).
Tensor<float> times_of(const Golden& io, const std::string& at, double shift) {
  if (io.contains(at + "t")) return io(at + "t");
  Tensor<float> t = io(at + "t_normal");  // (B)
  for (float& value : t.span()) value = time_shift(1.0f / (1.0f + std::exp(-value)), shift);
  return t;
}

/// Labels with the dropout of the golden step.
std::vector<std::int64_t> labels_of(const Golden& io, const std::string& at, double dropout) {
  if (io.contains(at + "y_used")) {
    const auto y = io.get<std::int64_t>(at + "y_used");  // (B)
    return {y.span().begin(), y.span().end()};
  }
  const auto y = io.get<std::int64_t>(at + "y");  // (B)
  const Tensor<float> drop = io(at + "u_drop");   // (B)
  std::vector<std::int64_t> out(y.span().begin(), y.span().end());
  for (std::size_t i = 0; i < out.size(); ++i)
    if (static_cast<double>(drop[static_cast<index_t>(i)]) < dropout) out[i] = sizes().num_classes;
  return out;
}

FlowLosses<float> losses(const Model& model, const Golden& io, const std::string& at,
                         const FlowObjective& objective, const FurtherLosses& weights,
                         double dropout = 0.1) {
  const auto network = [&](const Var<float>& x, const Tensor<float>& t,
                           std::span<const std::int64_t> y, const WantedOutputs& wanted) {
    return model.outputs(x, model.conditioning(t, y), wanted);
  };
  const Tensor<float> features =
      io.contains(at + "z_clean") ? io(at + "z_clean") : Tensor<float>();  // (B, N, z)
  return flow_losses(network, io(at + "x1"), io(at + "x0"), times_of(io, at, 8.0),
                     labels_of(io, at, dropout), objective, features, weights);
}

constexpr FlowObjective kDataObjective{.prediction = Prediction::data, .floored_target = true};

void expect_losses(const FlowLosses<float>& got, const Golden& io, const std::string& at,
                   const FurtherLosses& weights) {
  const auto expect = [&](double value, const char* name) {
    const Tensor<float> golden = io(at + name);  // scalar
    EXPECT_TRUE(test::near(static_cast<float>(value), golden,
                           1e-5 * std::abs(static_cast<double>(golden[0]))))
        << at << name;
  };
  const auto value = [](const Var<float>& v) { return static_cast<double>(v.value()[0]); };
  expect(value(got.total), "total");
  expect(value(got.base), "loss_base_mean");
  expect(value(got.flow) + weights.base * value(got.base), "loss_mean");
  if (io.contains(at + "loss_repa")) expect(weights.align * value(got.align), "loss_repa");
}

/// The gradient or value of one of our parameters in the golden file, which has several matrices
/// for some of them.
Tensor<float> joined(const Golden& io, const std::string& prefix, const std::string& name,
                     const Shape& shape) {
  const std::vector<std::string> files = token_dit_names(true)(name);
  if (files.size() == 1) return io(prefix + files.front()).reshaped(shape);
  Tensor<float> out(shape);  // that of the parameter
  float* target = out.data();
  for (const std::string& file : files) {
    const Tensor<float> part = io(prefix + file);  // a part of the rows
    target = std::copy_n(part.data(), part.numel(), target);
  }
  return out;
}

TEST(FlowLosses, OneStepMatches) {
  const Golden io("v2_train/io.safetensors");
  Model model = golden_model();
  Tape<float> tape;
  const TapeScope<float> scope(tape);
  const FlowLosses<float> got = losses(model, io, "main.", kDataObjective, {}, 0.5);
  expect_losses(got, io, "main.", {});
  tape.backward(got.total);
  model.parameters([&](const std::string& name, Parameter<Var<float>>& p) {
    const Tensor<float> expected = joined(io, "main.grad.", name, p.shape());
    const double largest = test::largest(expected);
    ASSERT_FALSE(p.value.grad().empty()) << name;
    EXPECT_TRUE(close(p.value.grad(), expected, 1e-4 * largest + 1e-12)) << name;
  });
  AdamW<float> optimizer(model);
  EXPECT_NEAR(optimizer.gradient_norm(), static_cast<double>(io("main.grad_norm")[0]),
              1e-5 * optimizer.gradient_norm());
}

TEST(FlowLosses, ClampedTimesVelocityAndNoAlignment) {
  const Golden io("v2_train/io.safetensors");
  const Model model = golden_model();
  expect_losses(losses(model, io, "clamped.", kDataObjective, {}), io, "clamped.", {});
  expect_losses(losses(model, io, "norepa.", kDataObjective, {}), io, "norepa.", {});
  const FurtherLosses weights{.base = 0.7};
  expect_losses(losses(model, io, "velocity.",
                       {.prediction = Prediction::velocity, .floored_target = true}, weights),
                io, "velocity.", weights);
}

TEST(FlowLosses, TheTargetIsTheVelocityAboveTheFloor) {
  const Tensor<double> data(Shape{2, 1, 1, 1}, {1, 2}), noise(Shape{2, 1, 1, 1}, {-1, 5}),
      t(Shape{2}, {0.02, 0.5});
  const auto goal = flow_target(kDataObjective, data, noise, t);
  EXPECT_NEAR(goal.target[0], 0.02 * (-1 - 1) / 0.05, 1e-15);
  EXPECT_NEAR(goal.target[1], 5 - 2, 1e-15);
  EXPECT_NEAR(goal.gate[0], -1 / 0.05, 1e-12);
  EXPECT_THROW(
      (void)flow_target({.prediction = Prediction::noise, .floored_target = true}, data, noise, t),
      ArgumentError);
}

TEST(FlowLosses, ThreeStepsOfGMuon) {
  const Golden io("v2_train/io.safetensors");
  const ConfigNode steps = test::golden_config("v2_train").at("steps");
  Model model = golden_model();
  AdamW<float> optimizer(model, {}, steps.get<double>("ema_decay"), {}, MuonOptions{});
  const auto rates = steps.get<std::vector<double>>("lr_used");
  double travel = 0;
  for (std::size_t step = 0; step < rates.size(); ++step) {
    const std::string at = concat("step", step, ".");
    Tape<float> tape;
    {
      const TapeScope<float> scope(tape);
      const FlowLosses<float> got =
          losses(model, io, at, kDataObjective, {}, steps.get<double>("cfg_dropout_prob"));
      expect_losses(got, io, at, {});
      tape.backward(got.total);
    }
    const double norm = optimizer.step(rates[step], steps.get<double>("clip_grad"));
    EXPECT_NEAR(norm, static_cast<double>(io(at + "grad_norm")[0]), 1e-4 * norm);
    travel += rates[step];
  }
  const NameMap names = token_dit_names(true);
  for (const auto& slot : optimizer.slots()) {
    // Adam divides by the magnitude of the gradient, so that tiny gradients make any sign.
    EXPECT_TRUE(close(slot.parameter.value(),
                      joined(io, "after3.param.", slot.name, slot.parameter.shape()),
                      0.02 * travel))
        << slot.name;
    if (!io.contains("after3.ema." + names(slot.name).front())) continue;
    EXPECT_TRUE(close(slot.ema, joined(io, "after3.ema.", slot.name, slot.parameter.shape()),
                      0.02 * travel))
        << slot.name;
  }
}

}  // namespace
}  // namespace rae
