#include "rae/train/flow_loss.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>

#include "rae/models/dit_dh.hpp"
#include "rae/models/initialize.hpp"
#include "rae/models/lightning_dit.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

constexpr PathKind kPaths[] = {PathKind::linear, PathKind::gvp, PathKind::vp};
constexpr Prediction kPredictions[] = {Prediction::velocity, Prediction::data, Prediction::noise,
                                       Prediction::score};
constexpr LossWeighting kWeights[] = {LossWeighting::none, LossWeighting::velocity,
                                      LossWeighting::likelihood};

DitDhConfig dit_dh() {
  DitDhConfig c;
  c.grid_h = 1;
  c.grid_w = 2;
  c.in_channels = 4;
  c.hidden_size[0] = 8;
  c.hidden_size[1] = 12;
  c.depth[0] = c.depth[1] = 1;
  c.num_heads[0] = 2;
  c.num_heads[1] = 3;
  c.num_classes = 3;
  return c;
}

LightningDitConfig lightning_dit() {
  LightningDitConfig c;
  c.input_h = 1;
  c.input_w = 2;
  c.in_channels = 4;
  c.hidden_size = 8;
  c.depth = 1;
  c.num_heads = 2;
  c.num_classes = 3;
  c.learn_sigma = true;  // the first half of the output is the prediction
  return c;
}

Tensor<double> normals(const Shape& shape, std::uint64_t seed) {
  Tensor<double> out(shape);  // of `shape`
  for (index_t i = 0; i < out.numel(); ++i)
    out[i] = static_cast<double>(Philox(seed).normal(static_cast<std::uint64_t>(i)));
  return out;
}

/// The coefficients of a path in closed form, with numerical derivatives.
struct PlainPath {
  PathKind kind;

  [[nodiscard]] double sigma(double t) const {
    if (kind == PathKind::linear) return t;
    if (kind == PathKind::gvp) return std::sin(std::numbers::pi / 2 * t);
    return std::exp(-0.25 * (1 - t) * (1 - t) * 19.9 - 0.05 * (1 - t));
  }
  [[nodiscard]] double alpha(double t) const {
    if (kind == PathKind::linear) return 1 - t;
    return std::sqrt(1 - sigma(t) * sigma(t));  // GVP and VP preserve the variance
  }
  [[nodiscard]] double d_sigma(double t) const { return (sigma(t + kH) - sigma(t - kH)) / 2 / kH; }
  [[nodiscard]] double d_alpha(double t) const { return (alpha(t + kH) - alpha(t - kH)) / 2 / kH; }
  static constexpr double kH = 1e-5;
};

/// The loss for one element of the output, o, with data x1 and noise x0 at time t, and its
/// derivative with respect to o.
struct PlainLoss {
  double value, derivative;
};

PlainLoss plain_loss(const PlainPath& path, const FlowObjective& objective, double o, double x1,
                     double x0, double t) {
  const double a = path.alpha(t), s = path.sigma(t), da = path.d_alpha(t), ds = path.d_sigma(t);
  const double drift_variance = s * ds - s * s * da / a;
  const LossWeighting weight = objective.weight();
  const auto squared = [](double factor, double error) {  // (factor * error)^2
    return PlainLoss{factor * factor * error * error, 2 * factor * factor * error};
  };
  double factor = 1;  // multiplies the error of the noise, by the table in the official code
  if (weight == LossWeighting::velocity) factor = drift_variance / s;
  if (weight == LossWeighting::likelihood) factor = std::sqrt(drift_variance) / s;
  switch (objective.prediction) {
    case Prediction::velocity: return squared(1, o - (da * x1 + ds * x0));
    case Prediction::noise: return squared(factor, o - x0);
    case Prediction::score: {
      const PlainLoss noise = squared(factor, s * o + x0);
      return {noise.value, noise.derivative * s};
    }
    default: break;
  }
  if (weight == LossWeighting::none) return squared(1, o - x1);
  // The velocity that follows from x_t = a x1 + s x0 and an estimate o of the data.
  const double divisor = std::max(s, 0.05), x = a * x1 + s * x0;
  const double slope = (da * s - a * ds) / divisor;
  if (weight == LossWeighting::likelihood)
    return squared(slope / std::sqrt(drift_variance), o - x1);
  const double error = ds / divisor * x + slope * o - (da * x1 + ds * x0);
  return {error * error, 2 * error * slope};
}

template <class Config>
struct NetworkOf;
template <>
struct NetworkOf<DitDhConfig> {
  template <class X>
  using Type = DitDh<X>;
};
template <>
struct NetworkOf<LightningDitConfig> {
  template <class X>
  using Type = LightningDit<X>;
};

/// The gradients of all parameters, concatenated.
template <class Model>
std::vector<double> gradients(Model& model, const std::function<void(Tape<double>&)>& backward) {
  Tape<double> tape;
  {
    const TapeScope<double> scope(tape);
    backward(tape);
  }
  std::vector<double> all;
  model.parameters([&](const std::string&, Parameter<Var<double>>& p) {
    const Tensor<double> g = p.value.grad();  // p's shape, or empty
    if (g.empty())
      all.insert(all.end(), static_cast<std::size_t>(p.shape().numel()), 0.0);
    else
      all.insert(all.end(), g.span().begin(), g.span().end());
    p.value.clear_grad();
  });
  return all;
}

// Compares the loss and its gradients, for every path, prediction and weight, with formulas for
// single numbers.
template <class Config>
void expect_plain_losses(const Config& config) {
  typename NetworkOf<Config>::template Type<Var<double>> model(config);
  init_default(model, 3);
  const Shape shape{4, 4, 1, 2};
  const Tensor<double> data = normals(shape, 1), noise = normals(shape, 2);  // (4, 4, 1, 2) each
  // The first time is below the floor 0.05 of the divisor.
  const Tensor<double> t(Shape{4}, {0.02, 0.3, 0.6, 0.9});  // (B)
  const std::vector<std::int64_t> labels{0, 3, 2, 1};
  const index_t size = shape.numel() / shape[0];
  for (const PathKind kind : kPaths)
    for (const Prediction prediction : kPredictions)
      for (const LossWeighting weight : kWeights) {
        const FlowObjective objective{
            .path = kind, .prediction = prediction, .loss_weight = weight};
        SCOPED_TRACE(concat(name_of(kind), " ", name_of(prediction), " ", name_of(weight)));
        const PlainPath path{kind};
        double expected = 0, actual = 0;
        const std::vector<double> plain = gradients(model, [&](Tape<double>& tape) {
          Tensor<double> x(shape);  // (4, 4, 1, 2)
          for (index_t i = 0; i < x.numel(); ++i)
            x[i] = path.alpha(t[i / size]) * data[i] + path.sigma(t[i / size]) * noise[i];
          const Var<double> output = model(Var<double>(x), t, labels);
          Tensor<double> slope(shape);  // (4, 4, 1, 2)
          for (index_t i = 0; i < x.numel(); ++i) {
            const PlainLoss one =
                plain_loss(path, objective, output.value()[i], data[i], noise[i], t[i / size]);
            const auto n = static_cast<double>(x.numel());
            expected += one.value / n;
            slope[i] = one.derivative / n;
          }
          tape.backward(output, slope);
        });
        const std::vector<double> ours = gradients(model, [&](Tape<double>& tape) {
          const Var<double> loss = flow_loss(model, data, noise, t, labels, objective);
          actual = loss.value()[0];
          tape.backward(loss);
        });
        EXPECT_NEAR(actual, expected, 1e-7 * (1 + expected));
        double largest = 0;
        for (const double g : plain) largest = std::max(largest, std::abs(g));
        ASSERT_EQ(ours.size(), plain.size());
        for (std::size_t i = 0; i < ours.size(); ++i)
          ASSERT_NEAR(ours[i], plain[i], 1e-7 * largest) << i;
      }
}

TEST(FlowLossTest, AgreesWithPlainFormulasForDitDh) { expect_plain_losses(dit_dh()); }
TEST(FlowLossTest, AgreesWithPlainFormulasForLightningDit) { expect_plain_losses(lightning_dit()); }

TEST(FlowLossTest, GradientsAgreeWithFiniteDifferences) {
  const Shape shape{2, 4, 1, 2};
  // (2, 4, 1, 2), (2, 4, 1, 2), (2)
  const Tensor<double> data = normals(shape, 1), noise = normals(shape, 2), t(Shape{2}, {0.3, 0.8});
  const std::vector<std::int64_t> labels{1, 3};
  for (const PathKind path : kPaths)
    for (const Prediction prediction : kPredictions) {
      DitDh<Var<double>> model(dit_dh());
      init_default(model, 3);
      const FlowObjective objective{.path = path, .prediction = prediction};
      auto loss = [&] { return flow_loss(model, data, noise, t, labels, objective); };
      Tape<double> tape;
      {
        const TapeScope<double> scope(tape);
        tape.backward(loss());
      }
      model.parameters([&](const std::string& name, Parameter<Var<double>>& p) {
        const Tensor<double> gradient = p.value.grad();  // p's shape, or empty
        const index_t at = p.shape().numel() / 2;
        const double analytic = gradient.empty() ? 0.0 : gradient[at], step = 1e-5;
        p.value.mutable_value()[at] += step;
        const double above = loss().value()[0];
        p.value.mutable_value()[at] -= 2 * step;
        const double below = loss().value()[0];
        p.value.mutable_value()[at] += step;
        EXPECT_NEAR(analytic, (above - below) / (2 * step), 1e-6 * (1 + std::abs(analytic)))
            << name_of(path) << " " << name_of(prediction) << " " << name;
      });
    }
}

// The official losses (`Transport.training_losses`) for the same draws and network output.
TEST(FlowLossTest, AgreesWithTheOfficialTransport) {
  const Golden golden("transport_paths/io.safetensors");
  // (B, C, h, w), (B, C, h, w), (B), (B, C, h, w)
  const Tensor<float> data = golden("x1"), noise = golden("x0"), t = golden("t"),
                      output = golden("model_output");
  const auto network = [&](const Var<float>& x, const Tensor<float>&,
                           std::span<const std::int64_t>) {
    EXPECT_EQ(x.shape(), output.shape());
    return Var<float>(output);
  };
  constexpr std::string_view kNames[] = {"Linear", "GVP", "VP"};
  for (const PathKind path : kPaths)
    for (const Prediction prediction : {Prediction::velocity, Prediction::noise, Prediction::score})
      for (const LossWeighting weight : kWeights) {
        const bool vp = path == PathKind::vp, velocity = prediction == Prediction::velocity;
        // In other cases the official weight of maximum likelihood is negative.
        if (weight == LossWeighting::likelihood && !vp && !velocity) continue;
        const Tensor<float> losses =
            golden(concat(kNames[static_cast<std::size_t>(path)], ".", name_of(prediction), ".",
                          velocity ? "none" : name_of(weight), ".loss"));  // (B)
        double mean = 0;
        for (index_t b = 0; b < losses.numel(); ++b)
          mean += static_cast<double>(losses[b]) / static_cast<double>(losses.numel());
        const FlowObjective objective{.path = path,
                                      .path_formulas = PathFormulas::official,
                                      .prediction = prediction,
                                      .loss_weight = weight};
        EXPECT_NEAR(
            static_cast<double>(flow_loss(network, data, noise, t, {}, objective).value()[0]), mean,
            1e-5 * mean)
            << name_of(path) << " " << name_of(prediction) << " " << name_of(weight);
      }
}

TEST(TrainingIntervalTest, IsThatOfTheOfficialCode) {
  const auto interval = [](PathKind path, Prediction prediction, std::optional<double> eps = {}) {
    return training_interval({.path = path, .prediction = prediction}, eps);
  };
  for (const PathKind path : {PathKind::linear, PathKind::gvp}) {
    EXPECT_EQ(interval(path, Prediction::velocity).low, 0.0);
    EXPECT_EQ(interval(path, Prediction::velocity).high, 0.999);
    EXPECT_EQ(interval(path, Prediction::data).low, 0.0);
    for (const Prediction prediction : {Prediction::noise, Prediction::score}) {
      EXPECT_EQ(interval(path, prediction).low, 0.001);
      EXPECT_EQ(interval(path, prediction).high, 0.999);
      EXPECT_EQ(interval(path, prediction, 0.25).low, 0.25);
      EXPECT_EQ(interval(path, prediction, 0.25).high, 0.75);
    }
    EXPECT_EQ(training_interval({.path = path,
                                 .prediction = Prediction::data,
                                 .loss_weight = LossWeighting::likelihood})
                  .low,
              0.001);
  }
  for (const Prediction prediction : kPredictions) {
    EXPECT_EQ(interval(PathKind::vp, prediction).low, 0.0);
    EXPECT_EQ(interval(PathKind::vp, prediction).high, 1.0 - 1e-5);
  }
  EXPECT_THROW((void)interval(PathKind::linear, Prediction::noise, 0.5), ArgumentError);
  EXPECT_THROW((void)interval(PathKind::linear, Prediction::noise, -0.1), ArgumentError);
}

// Every combination can be trained on its own interval; on others the error gives the reason.
TEST(RequireTrainableTest, RefusesOnlySingularAndNegativeLosses) {
  for (const PathKind path : kPaths)
    for (const Prediction prediction : kPredictions)
      for (const LossWeighting weight : kWeights) {
        const FlowObjective objective{
            .path = path, .prediction = prediction, .loss_weight = weight};
        const auto time = TimeDistribution::logit_normal(0, 1, training_interval(objective));
        for (const double shift : {1.0, std::sqrt(48.0), std::sqrt(192.0)})
          EXPECT_NO_THROW(require_trainable(objective, time, shift, "recipe"))
              << name_of(path) << " " << name_of(prediction) << " " << name_of(weight);
      }
  const auto message = [](const FlowObjective& objective, TimeInterval interval,
                          double shift = 1.0) {
    return message_of<ConfigError>([&] {
      require_trainable(objective, TimeDistribution::uniform(interval), shift, "recipe: dit");
    });
  };
  const auto has = [](const std::string& text, std::string_view part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  // The derivative of the VP path is infinite at t = 1. A large shift rounds times near 1 to
  // exactly 1.
  has(message({.path = PathKind::vp}, {0.0, 1.0}), "recipe: dit: path vp, prediction velocity");
  has(message({.path = PathKind::vp}, {0.0, 1.0}), "undefined at t[0] = 1");
  has(message({.path = PathKind::vp}, {0.0, 1.0 - 1e-5}, 1000), "undefined at t[0] = 1");
  has(message({.prediction = Prediction::score}, {0.0, 0.999}), "undefined at t[0] = 0");
  has(message({.prediction = Prediction::noise, .loss_weight = LossWeighting::velocity},
              {0.001, 1.0}),
      "infinite at t = 1");
  has(message({.path_formulas = PathFormulas::official,
               .prediction = Prediction::noise,
               .loss_weight = LossWeighting::likelihood},
              {0.001, 0.999}),
      "negative");
  has(message({}, {0.0, 0.999}, 0.5), "time shift");
}

}  // namespace
}  // namespace rae::test
