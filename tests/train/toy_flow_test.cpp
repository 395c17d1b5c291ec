// Trains every path and prediction with both networks on a two-dimensional distribution until
// samples have its moments.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

#include "rae/diffusion/sampler.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/models/lightning_dit.hpp"
#include "rae/train/flow_trainer.hpp"

namespace rae::test {
namespace {

// Two classes, each of them Gaussian: x = kMean of the class + kFactor n with normal n.
constexpr double kMean[2][2] = {{0.6, -0.4}, {-0.8, 0.2}};
constexpr double kFactor[2][2] = {{0.7, 0.0}, {0.4, 0.3}};

/// Mean and covariance of two-dimensional points.
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

/// The covariance of both classes: xx, xy, yy.
std::array<double, 3> covariance() {
  std::array<double, 3> out{};
  for (std::size_t k = 0; k < 3; ++k)
    for (std::size_t l = 0; l < 2; ++l) out[k] += kFactor[k / 2][l] * kFactor[(k + 1) / 2][l];
  return out;
}

/// The largest difference between a moment and that of the class.
double error_of(const Moments& m, std::size_t label) {
  double worst = 0;
  for (std::size_t c = 0; c < 2; ++c)
    worst = std::max(worst, std::abs(m.mean[c] - kMean[label][c]));
  for (std::size_t k = 0; k < 3; ++k)
    worst = std::max(worst, std::abs(m.covariance[k] - covariance()[k]));
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
                              .hidden_size = 24,
                              .depth = 2,
                              .num_heads = 2,
                              .num_classes = 2,
                              .class_dropout_prob = 0.1,
                              .learn_sigma = true};
  return DitDhConfig{.grid_h = 1,
                     .grid_w = 1,
                     .in_channels = 2,
                     .hidden_size = {16, 16},
                     .depth = {1, 1},
                     .num_heads = {2, 2},
                     .num_classes = 2,
                     .class_dropout_prob = 0.1};
}

// The velocity that follows from a prediction of noise or score has its error divided by alpha(t).
// Times that stay away from t = 1 keep this small enough for small networks. The sampler starts
// there with noise, which differs little from x_t.
constexpr double kEps = 0.05;

using Network = BackboneNetwork<Tensor<float>>;

OwnedPointer<Network> trained(const FlowObjective& objective, bool lightning) {
  TrainingOptions training;
  training.steps = 900;
  training.batch_size = 64;
  training.lr = 1e-2;
  training.final_lr = 2e-4;
  training.warmup_steps = 20;
  training.ema_decay = 0.97;
  training.log_every = 1000;
  training.seed = 5;
  FlowOptions flow;
  flow.objective = objective;
  flow.time = TimeDistribution::logit_normal(0, 1.5, training_interval(objective, kEps));
  return train_flow([&](index_t i) { return toy_batch(i, training.batch_size); },
                    network(lightning), flow, training, {});
}

/// Times from 1 - kEps to 0.007, equally spaced in log(t / (1 - t)).
std::vector<float> time_grid() {
  constexpr index_t kSteps = 24;
  const double first = std::log((1 - kEps) / kEps), last = -5;
  std::vector<float> grid;
  for (index_t i = 0; i <= kSteps; ++i) {
    const double logit = first + (last - first) * static_cast<double>(i) / kSteps;
    grid.push_back(static_cast<float>(1 / (1 + std::exp(-logit))));
  }
  return grid;
}

/// The output of the network for one class.
auto output_of(const Network& model, std::size_t label) {
  return [&model, label](const Tensor<float>& x, float t) {
    const Shape batch{x.extent(0)};
    const std::vector<std::int64_t> labels(static_cast<std::size_t>(batch[0]),
                                           static_cast<std::int64_t>(label));
    return model(x, Tensor<float>(batch, t), labels);
  };
}

Tensor<float> noise_points(index_t count, std::uint64_t stream) {
  Tensor<float> out(Shape{count, 2, 1, 1});  // (N, 2, 1, 1)
  Philox(9, stream).fill_normal(out.span());
  return out;
}

/// The largest error of the moments of samples drawn along `path`.
double sampled_error(const Network& model, PathKind path, Prediction prediction) {
  double worst = 0;
  for (std::size_t label = 0; label < 2; ++label) {
    const Tensor<float> samples = with_path(path, PathFormulas::exact, [&](const auto& p) {
      return sample(velocity_of(p, prediction, output_of(model, label)), noise_points(1000, label),
                    time_grid(), Solver::heun);
    });
    worst = std::max(worst, error_of(moments_of(samples), label));
  }
  return worst;
}

/// Root mean square of the difference between the network and the exact velocity of `path`,
/// E[dx_t/dt | x_t].
double velocity_error(const Network& model, PathKind path) {
  double sum = 0, count = 0;
  with_path(path, PathFormulas::exact, [&](const auto& p) {
    for (const float t : {0.2f, 0.5f, 0.8f}) {
      const double a = p.alpha(static_cast<double>(t)), s = p.sigma(static_cast<double>(t)),
                   da = p.d_alpha(static_cast<double>(t)), ds = p.d_sigma(static_cast<double>(t));
      const LatentBatch data = toy_batch(1000, 400);
      const Tensor<float> noise = noise_points(400, 7);  // (400, 2, 1, 1)
      // (400, 2, 1, 1)
      const Tensor<float> x = interpolate(p, data.latents, noise, Tensor<float>(Shape{1}, t));
      // (400, 2, 1, 1)
      const Tensor<float> v = model(x, Tensor<float>(Shape{400}, t), data.labels);
      for (index_t b = 0; b < 400; ++b) {
        // x_t is Gaussian with mean a m and covariance C = a^2 S + s^2, where S is the covariance
        // of the data. With r = C^-1 (x_t - a m), E[data | x_t] = m + a S r and E[noise | x_t] = s
        // r.
        const auto label = static_cast<std::size_t>(data.labels[static_cast<std::size_t>(b)]);
        const double m[2] = {kMean[label][0], kMean[label][1]};
        const auto S = covariance();
        const double xx = a * a * S[0] + s * s, xy = a * a * S[1], yy = a * a * S[2] + s * s;
        const double u = static_cast<double>(x[2 * b]) - a * m[0],
                     w = static_cast<double>(x[2 * b + 1]) - a * m[1], det = xx * yy - xy * xy;
        const double r[2] = {(yy * u - xy * w) / det, (xx * w - xy * u) / det};
        for (std::size_t c = 0; c < 2; ++c) {
          const double of_data = m[c] + a * (S[c] * r[0] + S[c + 1] * r[1]);
          const double exact = da * of_data + ds * s * r[c];
          const double difference = static_cast<double>(v[2 * b + static_cast<index_t>(c)]) - exact;
          sum += difference * difference;
          ++count;
        }
      }
    }
  });
  return std::sqrt(sum / count);
}

constexpr double kMomentBound = 0.15;  // of means and covariances; those of the data are 0.2 to 0.8
// A root mean square. The velocities of two paths differ by at least 0.53, more than twice as much.
constexpr double kVelocityBound = 0.2;

using ToyCase = std::tuple<PathKind, Prediction, bool>;

class ToyFlow : public testing::TestWithParam<ToyCase> {};

// The bounds are narrow enough to distinguish the paths: with another path than the trained one,
// they are exceeded. Samples of a network that predicts the velocity do not depend on the path, so
// such a network is compared with the exact velocities of the paths instead.
TEST_P(ToyFlow, TrainsUntilSamplesHaveItsMoments) {
  const auto [path, prediction, lightning] = GetParam();
  const auto model = trained({.path = path, .prediction = prediction}, lightning);
  EXPECT_LT(sampled_error(*model, path, prediction), kMomentBound);
  const bool velocity = prediction == Prediction::velocity;
  if (velocity) {
    EXPECT_LT(velocity_error(*model, path), kVelocityBound);
  }
  for (const PathKind other : {PathKind::linear, PathKind::gvp, PathKind::vp}) {
    if (other == path) continue;
    if (velocity) {
      EXPECT_GT(velocity_error(*model, other), 2 * kVelocityBound) << name_of(other);
    } else if (!lightning) {
      EXPECT_GT(sampled_error(*model, other, prediction), kMomentBound) << name_of(other);
    }
  }
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
