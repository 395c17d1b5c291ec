#include "rae/train/dit_trainer.hpp"

#include <gtest/gtest.h>

#include "rae/core/parallel.hpp"
#include "rae/models/initialize.hpp"
#include "support/toy_dataset.hpp"

namespace rae::test {
namespace {

DitDhConfig tiny() {
  DitDhConfig c;
  c.grid_h = c.grid_w = 2;
  c.in_channels = 4;
  c.hidden_size[0] = 8;
  c.hidden_size[1] = 12;
  c.depth[0] = c.depth[1] = 1;
  c.num_heads[0] = 2;
  c.num_heads[1] = 3;
  c.num_classes = 3;
  return c;
}

Tensor<double> normals(const Shape& shape, std::uint64_t seed) {
  Tensor<double> out(shape);
  for (index_t i = 0; i < out.numel(); ++i)
    out[i] = static_cast<double>(Philox(seed).normal(static_cast<std::uint64_t>(i)));
  return out;
}

// The velocity of a data prediction is (x_t - output) / max(t, 0.05): the loss must be that of this
// velocity.
TEST(FlowMatching, DataPredictionIsMeasuredAsVelocity) {
  DitDh<Var<double>> model(tiny());
  init_default(model, 3);
  DitDh<Tensor<double>> plain(tiny());
  copy_parameters(model, plain);
  const Shape shape{3, 4, 2, 2};
  const Tensor<double> data = normals(shape, 1), noise = normals(shape, 2);
  const Tensor<double> t(Shape{3}, {0.02, 0.3, 0.9});
  const std::vector<std::int64_t> labels{0, 3, 2};
  const Tensor<double> x = interpolate(LinearPath{}, data, noise, t);
  const Tensor<double> output = plain(x, t, labels);
  double as_velocity = 0, as_data = 0;
  for (index_t i = 0; i < x.numel(); ++i) {
    const double u = noise[i] - data[i];
    as_velocity += (output[i] - u) * (output[i] - u);
    const double v = (x[i] - output[i]) / std::max(t[i / 16], 0.05);
    as_data += (v - u) * (v - u);
  }
  const auto n = static_cast<double>(x.numel());
  EXPECT_NEAR(flow_matching_loss(model, data, noise, t, labels, Prediction::velocity).value()[0],
              as_velocity / n, 1e-9);
  EXPECT_NEAR(flow_matching_loss(model, data, noise, t, labels, Prediction::data).value()[0],
              as_data / n, 1e-9);
}

TEST(FlowMatching, GradientsAgreeWithFiniteDifferences) {
  for (const Prediction prediction : {Prediction::velocity, Prediction::data}) {
    DitDh<Var<double>> model(tiny());
    init_default(model, 3);
    const Shape shape{2, 4, 2, 2};
    const Tensor<double> data = normals(shape, 1), noise = normals(shape, 2),
                         t(Shape{2}, {0.3, 0.8});
    const std::vector<std::int64_t> labels{1, 3};
    auto loss = [&] { return flow_matching_loss(model, data, noise, t, labels, prediction); };
    Tape<double> tape;
    {
      const TapeScope<double> scope(tape);
      tape.backward(loss());
    }
    model.parameters([&](const std::string& name, Parameter<Var<double>>& p) {
      const Tensor<double> gradient = p.value.grad();
      const index_t at = p.shape().numel() / 2;
      const double analytic = gradient.empty() ? 0.0 : gradient[at], step = 1e-5;
      p.value.mutable_value()[at] += step;
      const double above = loss().value()[0];
      p.value.mutable_value()[at] -= 2 * step;
      const double below = loss().value()[0];
      p.value.mutable_value()[at] += step;
      EXPECT_NEAR(analytic, (above - below) / (2 * step), 1e-6 * (1 + std::abs(analytic))) << name;
    });
  }
}

TEST(FlowDraws, DependOnTheSampleOnly) {
  const DitDhConfig config = tiny();
  FlowOptions options;
  options.time_shift = 2;
  const auto draw = [&](index_t count, std::uint64_t first) {
    return draw_flow(Shape{count, 4, 2, 2},
                     std::vector<std::int64_t>(static_cast<std::size_t>(count), 1), config, options,
                     7, first);
  };
  const FlowDraws all = draw(2000, 10), part = draw(500, 1010);
  index_t dropped = 0;
  double mean = 0;
  for (index_t b = 0; b < 500; ++b) {
    EXPECT_EQ(part.t[b], all.t[b + 1000]);
    EXPECT_EQ(part.labels[static_cast<std::size_t>(b)],
              all.labels[static_cast<std::size_t>(b) + 1000]);
    for (index_t i = 0; i < 16; ++i)
      EXPECT_EQ(part.noise[b * 16 + i], all.noise[(b + 1000) * 16 + i]);
  }
  for (index_t b = 0; b < 2000; ++b) {
    dropped += all.labels[static_cast<std::size_t>(b)] == config.num_classes;
    mean += all.t[b] / 2000.0;
    EXPECT_GE(all.t[b], 0);
    EXPECT_LT(all.t[b], 1);
  }
  EXPECT_NEAR(static_cast<double>(dropped) / 2000, config.class_dropout_prob, 0.03);
  EXPECT_NEAR(mean, 0.623, 0.02);  // of sigmoid(n) shifted by 2; 0.5 without the shift
}

// The path of training in bf16 stays beside that in f32: the same draws, gradients that differ by
// rounding.
TEST(TrainingInBf16, GradientsAreThoseInF32ButForRounding) {
  const Shape shape{6, 4, 2, 2};
  const Tensor<float> data = convert<float>(normals(shape, 1)),
                      noise = convert<float>(normals(shape, 2));
  const Tensor<float> t(Shape{6}, {0.1f, 0.2f, 0.4f, 0.5f, 0.7f, 0.9f});
  const std::vector<std::int64_t> labels{0, 1, 2, 3, 0, 1};
  const auto gradient = [&](DType dtype) {
    DitDh<Var<float>> model(tiny());
    init_default(model, 3);
    multiply_as(model, dtype);
    Tape<float> tape;
    const TapeScope<float> scope(tape);
    tape.backward(flow_matching_loss(model, data, noise, t, labels, Prediction::velocity));
    std::vector<float> all;
    model.parameters([&](const std::string&, Parameter<Var<float>>& p) {
      const Tensor<float>& g = p.value.grad();
      EXPECT_EQ(p.tensor().shape(), p.shape());
      all.insert(all.end(), g.data(), g.data() + g.numel());
    });
    return all;
  };
  const std::vector<float> exact = gradient(DType::f32), rounded = gradient(DType::bf16);
  ASSERT_EQ(exact.size(), rounded.size());
  double error = 0, size = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    error += std::pow(static_cast<double>(exact[i]) - static_cast<double>(rounded[i]), 2);
    size += std::pow(static_cast<double>(exact[i]), 2);
  }
  EXPECT_GT(error, 0);
  EXPECT_LT(std::sqrt(error / size), 0.01);
}

class TrainDit : public testing::TestWithParam<DType> {};

TEST_P(TrainDit, LearnsAndDoesNotDependOnThreads) {
  const auto data = std::make_shared<ToyDataset>(24, 8, 3);
  EncoderConfig encoder;
  encoder.family = EncoderFamily::siglip2;
  encoder.patch_size = 4;
  encoder.channels = 1;
  encoder.hidden_size = 4;
  encoder.num_layers = 1;
  encoder.num_heads = 1;
  encoder.intermediate_size = 8;
  encoder.table_h = encoder.table_w = 2;
  DecoderConfig decoder;
  decoder.grid_h = decoder.grid_w = 2;
  decoder.in_dim = 4;
  decoder.hidden_size = 4;
  decoder.num_layers = 1;
  decoder.num_heads = 1;
  decoder.intermediate_size = 8;
  decoder.patch_size = 4;
  decoder.channels = 1;
  Rae<float> autoencoder(encoder, decoder, 0, {});
  initialize(autoencoder.encoder, 1);
  TrainingOptions options;
  options.steps = 60;
  options.batch_size = 24;
  options.lr = 5e-3;
  options.log_every = 10;
  options.dtype = GetParam();
  std::vector<float> first;
  for (const int threads : {1, 3}) {
    set_num_threads(threads);
    TrainingContext context;
    std::vector<double> losses;
    context.on_progress = [&](const TrainingProgress& p) { return losses.push_back(p.loss), true; };
    index_t averages = 0;
    DitDh<Tensor<float>> model = train_dit(data, autoencoder, tiny(), {}, options, context,
                                           [&](index_t, DitDh<Tensor<float>>&) { ++averages; });
    EXPECT_EQ(averages, 1);
    EXPECT_LT(losses.back(), 0.8 * losses.front());
    std::vector<float> weights;
    model.parameters([&](const std::string&, Parameter<Tensor<float>>& p) {
      weights.insert(weights.end(), p.tensor().span().begin(), p.tensor().span().end());
    });
    if (first.empty())
      first = weights;
    else
      EXPECT_EQ(first, weights);
  }
  set_num_threads(0);
  DitDhConfig wrong = tiny();
  wrong.in_channels = 5;
  EXPECT_THROW((void)train_dit(data, autoencoder, wrong, {}, options, {}), ConfigError);
  wrong = tiny();
  wrong.num_classes = 2;
  EXPECT_THROW((void)train_dit(data, autoencoder, wrong, {}, options, {}), ConfigError);
}

INSTANTIATE_TEST_SUITE_P(Types, TrainDit, testing::Values(DType::f32, DType::bf16),
                         [](const auto& row) { return std::string(name_of(row.param)); });

}  // namespace
}  // namespace rae::test
