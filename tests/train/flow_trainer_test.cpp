#include "rae/train/flow_trainer.hpp"

#include <cmath>
#include <memory>

#include <gtest/gtest.h>

#include "rae/core/parallel.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/models/initialize.hpp"
#include "rae/models/lightning_dit.hpp"
#include "support/temp_folder.hpp"
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

Tensor<double> random_normals(const Shape& shape, std::uint64_t seed) {
  Tensor<double> out(shape);  // of `shape`
  for (index_t i = 0; i < out.numel(); ++i)
    out[i] = static_cast<double>(Philox(seed).normal(static_cast<std::uint64_t>(i)));
  return out;
}

TEST(FlowDraws, DependOnlyOnTheSample) {
  const Backbone config = tiny();
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
    dropped += all.labels[static_cast<std::size_t>(b)] == config.num_classes();
    mean += all.t[b] / 2000.0;
    EXPECT_GE(all.t[b], 0);
    EXPECT_LT(all.t[b], 1);
  }
  EXPECT_NEAR(static_cast<double>(dropped) / 2000, config.class_dropout_prob(), 0.03);
  EXPECT_NEAR(mean, 0.623, 0.02);  // mean of sigmoid(n) shifted by 2; without the shift it is 0.5
}

// The gradients of training in bf16 equal those in f32 except for rounding.
TEST(TrainingInBf16, GradientsEqualThoseInF32ExceptForRounding) {
  const Shape shape{6, 4, 2, 2};
  const Tensor<float> data = convert<float>(random_normals(shape, 1)),
                      noise = convert<float>(random_normals(shape, 2));   // (6, 4, 2, 2) each
  const Tensor<float> t(Shape{6}, {0.1f, 0.2f, 0.4f, 0.5f, 0.7f, 0.9f});  // (6)
  const std::vector<std::int64_t> labels{0, 1, 2, 3, 0, 1};
  const auto gradient = [&](DType dtype) {
    DitDh<Var<float>> model(tiny());
    init_default(model, 3);
    multiply_as(model, dtype);
    Tape<float> tape;
    const TapeScope<float> scope(tape);
    tape.backward(flow_loss(model, data, noise, t, labels, {}));
    std::vector<float> all;
    model.parameters([&](const std::string&, Parameter<Var<float>>& p) {
      const Tensor<float>& g = p.value.grad();  // p's shape
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

LightningDitConfig tiny_lightning_dit() {
  LightningDitConfig c;
  c.input_h = c.input_w = 2;
  c.in_channels = 4;
  c.hidden_size = 12;
  c.depth = 1;
  c.num_heads = 3;
  c.num_classes = 3;
  c.learn_sigma = true;
  return c;
}

/// An autoencoder for gray pictures of 8 x 8 with latents of 4 x 2 x 2.
Rae<float> tiny_autoencoder() {
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
  Encoder<Tensor<float>> network(encoder);
  initialize(network, 1);
  return {
      encoder_network(std::move(network)), std::make_shared<Decoder<Tensor<float>>>(decoder), {}};
}

TrainingOptions short_training(index_t steps) {
  TrainingOptions options;
  options.steps = steps;
  options.batch_size = 24;
  options.lr = 5e-3;
  options.log_every = 10;
  return options;
}

std::vector<float> weights_of(BackboneNetwork<Tensor<float>>& model) {
  std::vector<float> weights;
  model.parameters([&](const std::string&, Parameter<Tensor<float>>& p) {
    weights.insert(weights.end(), p.tensor().span().begin(), p.tensor().span().end());
  });
  return weights;
}

/// Whether the network is LightningDiT, and the type of its products.
using Row = std::tuple<bool, DType>;

class TrainFlow : public testing::TestWithParam<Row> {};

TEST_P(TrainFlow, LearnsAndDoesNotDependOnThreads) {
  const auto [lightning, dtype] = GetParam();
  const Backbone network = lightning ? Backbone(tiny_lightning_dit()) : Backbone(tiny());
  const auto data = std::make_shared<ToyDataset>(24, 8, 3);
  const Rae<float> autoencoder = tiny_autoencoder();
  TrainingOptions options = short_training(60);
  options.dtype = dtype;
  std::vector<float> first;
  for (const int threads : {1, 3}) {
    set_num_threads(threads);
    TrainingContext context;
    std::vector<double> losses;
    context.on_progress = [&](const TrainingProgress& p) { return losses.push_back(p.loss), true; };
    index_t averages = 0;
    // Recomputed activations are equal.
    const FlowOptions flow{.checkpointing = threads == 3};
    const auto model = train_flow(data, autoencoder, network, flow, options, context,
                                  [&](index_t, BackboneNetwork<Tensor<float>>&) { ++averages; });
    EXPECT_EQ(averages, 1);
    EXPECT_LT(losses.back(), 0.8 * losses.front());
    if (first.empty())
      first = weights_of(*model);
    else
      EXPECT_EQ(first, weights_of(*model));
  }
  set_num_threads(0);
}

INSTANTIATE_TEST_SUITE_P(All, TrainFlow,
                         testing::Combine(testing::Bool(),
                                          testing::Values(DType::f32, DType::bf16)),
                         [](const auto& row) {
                           return concat(std::get<0>(row.param) ? "lightning_dit_" : "dit_dh_",
                                         name_of(std::get<1>(row.param)));
                         });

/// The loss of a network on the toy data with weights of a type, after a training that rounds them
/// or does not.
double loss_with(DType stored, const FlowOptions& trained_with) {
  const auto data = std::make_shared<ToyDataset>(24, 8, 3);
  const Rae<float> autoencoder = tiny_autoencoder();
  const Backbone network = tiny();
  TrainingOptions options = short_training(500);
  options.lr = 3e-3;
  options.ema_decay = 0.9;
  TrainingContext context;
  const auto trained = train_flow(data, autoencoder, network, trained_with, options, context);
  // The losses of steps whose learning rate is too small to change a weight.
  options.steps = 40;
  options.lr = options.final_lr = 1e-30;
  options.seed = 9;
  FlowOptions measured;
  if (stored != DType::f32) measured.quantize = stored;
  double sum = 0;
  index_t count = 0;
  TrainingContext again;
  again.initial = [&](const std::string& name, const Tensor<float>& drawn) {
    Tensor<float> value = drawn;  // of the parameter's shape
    trained->parameters([&](const std::string& each, Parameter<Tensor<float>>& p) {
      if (each == name) value = p.tensor();
    });
    return value;
  };
  again.on_progress = [&](const TrainingProgress& p) { return sum += p.loss, ++count > 0; };
  (void)train_flow(data, autoencoder, network, measured, options, again);
  return sum / static_cast<double>(count);
}

TEST(QuantizedFlow, LearnsWeightsThatSurviveTheRounding) {
  const double exact = loss_with(DType::f32, {}), rounded = loss_with(DType::int4, {}),
               adapted = loss_with(DType::int4, {.quantize = DType::int4});
  EXPECT_GT(rounded, exact);
  EXPECT_LT(adapted - exact, 0.7 * (rounded - exact));  // 0.022 and 0.048
}

TEST(QuantizedFlow, RejectsOtherTypes) {
  const auto data = std::make_shared<ToyDataset>(24, 8, 3);
  for (const DType type : {DType::f32, DType::bf16, DType::int8})
    EXPECT_THROW((void)train_flow(data, tiny_autoencoder(), tiny(), {.quantize = type},
                                  short_training(1), {}),
                 ConfigError);
}

TEST(TrainFlowTest, RefusesNetworksThatDoNotFitTheData) {
  const auto data = std::make_shared<ToyDataset>(24, 8, 3);
  const Rae<float> autoencoder = tiny_autoencoder();
  const auto message = [&](const Backbone& network, const FlowOptions& flow = {}) {
    return message_of<ConfigError>([&] {
      (void)train_flow(data, autoencoder, network, flow, short_training(1), {.stage = "dit"});
    });
  };
  const auto has = [](const std::string& text, std::string_view part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  DitDhConfig wrong = tiny();
  wrong.in_channels = 5;
  has(message(wrong), "dit: DiT^DH and the batch size ask for latents of shape (24, 5, 2, 2)");
  wrong = tiny();
  wrong.num_classes = 2;
  has(message(wrong), "the model has 2 classes, the data set 3");
  has(message(tiny(), {.time_shift = 0.5}), "time shift");
  FlowOptions at_the_end;
  at_the_end.objective.path = PathKind::vp;
  at_the_end.time = TimeDistribution::uniform({0.0, 1.0});
  has(message(tiny(), at_the_end), "cannot be trained");
}

// A model of one class ignores the classes of the data: all pictures get its label.
TEST(TrainFlowTest, TrainsWithoutClassesOnLatentsThatAreNotSquare) {
  DitDhConfig network = tiny();
  network.grid_w = 3;
  network.num_classes = 1;
  network.class_dropout_prob = 0;
  const LatentSource latents = [](index_t i) {
    LatentBatch out{Tensor<float>(Shape{24, 4, 2, 3}), std::vector<std::int64_t>(24, 0),
                    static_cast<std::uint64_t>(24 * i)};
    Philox(3, static_cast<std::uint64_t>(i)).fill_normal(out.latents.span());
    for (float& value : out.latents.span()) value = 0.5f + 0.1f * value;
    return out;
  };
  TrainingContext context;
  std::vector<double> losses;
  context.on_progress = [&](const TrainingProgress& p) { return losses.push_back(p.loss), true; };
  (void)train_flow(latents, network, {}, short_training(60), context);
  EXPECT_LT(losses.back(), 0.8 * losses.front());

  const auto data = std::make_shared<ToyDataset>(24, 8, 3);
  network.grid_w = 2;
  EXPECT_NO_THROW((void)train_flow(data, tiny_autoencoder(), network, {}, short_training(2), {}));
}

}  // namespace
}  // namespace rae::test
