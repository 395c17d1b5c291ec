// Trains every path and prediction with both networks on a distribution of two dimensions, until
// samples have its moments.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>

#include "rae/diffusion/sampler.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/models/lightning_dit.hpp"
#include "rae/spec/sampling_defaults.hpp"
#include "rae/train/flow_trainer.hpp"

namespace rae::test {
namespace {

// Two classes, each a Gaussian: x = mean of the class + kFactor n.
constexpr double kMean[2][2] = {{0.6, -0.4}, {-0.8, 0.2}};
constexpr double kFactor[2][2] = {{0.7, 0.0}, {0.4, 0.3}};

/// Mean and covariance of pairs.
struct Moments {
  std::array<double, 2> mean{};
  std::array<double, 3> covariance{};  // xx, xy, yy
};

Moments moments_of(const Tensor<float>& x) {  // (B, 2, 1, 1)
  Moments m;
  const auto n = static_cast<double>(x.extent(0));
  const auto at = [&](index_t b, std::size_t c) {
    return static_cast<double>(x[2 * b + static_cast<index_t>(c)]);
  };
  for (index_t b = 0; b < x.extent(0); ++b)
    for (std::size_t c = 0; c < 2; ++c) m.mean[c] += at(b, c) / n;
  for (index_t b = 0; b < x.extent(0); ++b) {
    const double u = at(b, 0) - m.mean[0], v = at(b, 1) - m.mean[1];
    m.covariance[0] += u * u / n;
    m.covariance[1] += u * v / n;
    m.covariance[2] += v * v / n;
  }
  return m;
}

/// Largest difference of a moment from that of the class.
double error_of(const Moments& m, std::size_t label) {
  double worst = 0;
  for (std::size_t c = 0; c < 2; ++c)
    worst = std::max(worst, std::abs(m.mean[c] - kMean[label][c]));
  for (std::size_t k = 0; k < 3; ++k) {
    const std::size_t i = k / 2, j = (k + 1) / 2;  // 00, 01, 11
    double exact = 0;
    for (std::size_t l = 0; l < 2; ++l) exact += kFactor[i][l] * kFactor[j][l];
    worst = std::max(worst, std::abs(m.covariance[k] - exact));
  }
  return worst;
}

LatentBatch toy_batch(index_t i, index_t size) {
  LatentBatch out{Tensor<float>(Shape{size, 2, 1, 1}), {}, static_cast<std::uint64_t>(i * size)};
  for (index_t b = 0; b < size; ++b) {
    const Philox random(77, out.first + static_cast<std::uint64_t>(b));
    const auto label = static_cast<std::size_t>(b % 2);
    out.labels.push_back(static_cast<std::int64_t>(label));
    for (std::size_t c = 0; c < 2; ++c)
      out.latents[2 * b + static_cast<index_t>(c)] = static_cast<float>(
          kMean[label][c] + kFactor[c][0] * static_cast<double>(random.normal(0)) +
          kFactor[c][1] * static_cast<double>(random.normal(1)));
  }
  return out;
}

Backbone network(bool lightning) {
  if (lightning)
    return LightningDitConfig{.input_h = 1,
                              .input_w = 1,
                              .in_channels = 2,
                              .hidden_size = 32,
                              .depth = 2,
                              .num_heads = 2,
                              .num_classes = 2,
                              .class_dropout_prob = 0.1,
                              .learn_sigma = true};
  return DitDhConfig{.grid_h = 1,
                     .grid_w = 1,
                     .in_channels = 2,
                     .hidden_size = {24, 32},
                     .depth = {1, 1},
                     .num_heads = {2, 2},
                     .num_classes = 2,
                     .class_dropout_prob = 0.1};
}

std::unique_ptr<BackboneNetwork<Tensor<float>>> trained(const FlowObjective& objective,
                                                        bool lightning) {
  TrainingOptions training;
  training.steps = 300;
  training.batch_size = 64;
  training.lr = 6e-3;
  training.final_lr = 2e-4;
  training.warmup_steps = 20;
  training.ema_decay = 0.97;
  training.log_every = 1000;
  training.seed = 5;
  FlowOptions flow;
  flow.objective = objective;
  flow.time = TimeDistribution::uniform(training_interval(objective));
  return train_flow([&](index_t i) { return toy_batch(i, training.batch_size); },
                    network(lightning), flow, training, {});
}

/// Largest error of a moment when the network is sampled along `path`.
double sampled_error(const BackboneNetwork<Tensor<float>>& model, PathKind path,
                     Prediction prediction) {
  constexpr index_t kSamples = 1000;
  const std::vector<float> grid =
      sampling_time_grid({.steps = 24}, path, prediction, 1.0, PathFormulas::exact);
  double worst = 0;
  for (std::size_t label = 0; label < 2; ++label) {
    Tensor<float> noise(Shape{kSamples, 2, 1, 1});
    Philox(9, label).fill_normal(noise.span());
    const std::vector<std::int64_t> labels(kSamples, static_cast<std::int64_t>(label));
    const auto output = [&](const Tensor<float>& x, float t) {
      return model(x, Tensor<float>(Shape{kSamples}, t), labels);
    };
    const Tensor<float> samples = with_path(path, PathFormulas::exact, [&](const auto& p) {
      return sample(velocity_of(p, prediction, output), noise, grid, Solver::heun);
    });
    worst = std::max(worst, error_of(moments_of(samples), label));
  }
  return worst;
}

// Half of the smallest difference that a wrong path makes, see below.
constexpr double kBound = 0.12;

using Row = std::tuple<PathKind, Prediction, bool>;

class ToyFlow : public testing::TestWithParam<Row> {};

TEST_P(ToyFlow, TrainsUntilSamplesHaveItsMoments) {
  const auto [path, prediction, lightning] = GetParam();
  const auto model = trained({.path = path, .prediction = prediction}, lightning);
  const double error = sampled_error(*model, path, prediction);
  EXPECT_LT(error, kBound);
  RecordProperty("error", std::to_string(error));
  std::string line = concat(name_of(path), " ", name_of(prediction), ": ", error);
  for (const PathKind other : {PathKind::linear, PathKind::gvp, PathKind::vp})
    if (other != path)
      line += concat("  ", name_of(other), " ", sampled_error(*model, other, prediction));
  std::puts(line.c_str());
}

INSTANTIATE_TEST_SUITE_P(All, ToyFlow,
                         testing::Combine(testing::Values(PathKind::linear, PathKind::gvp,
                                                          PathKind::vp),
                                          testing::Values(Prediction::velocity, Prediction::data,
                                                          Prediction::noise, Prediction::score),
                                          testing::Bool()),
                         [](const auto& row) {
                           return concat(name_of(std::get<0>(row.param)), "_",
                                         name_of(std::get<1>(row.param)),
                                         std::get<2>(row.param) ? "_lightning_dit" : "_dit_dh");
                         });

}  // namespace
}  // namespace rae::test
