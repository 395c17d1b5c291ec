// Gradients of every module against central differences in double, with respect to at most 64
// elements of each input and parameter.
#include <gtest/gtest.h>

#include "rae/autograd/gradcheck.hpp"

#include <cmath>
#include "rae/models/decoder.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/models/encoder.hpp"
#include "rae/models/lightning_dit.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using Value = Var<double>;
using Inputs = const std::vector<Value>&;

constexpr double kTolerance = 1e-7;

/// Checks the gradients of forward(inputs) with respect to inputs and all parameters of the module.
/// Parameters are normal, with deviation 1 / sqrt(columns) for matrices and 0.4 for others. At this
/// size, activations are nonlinear, and the error of central differences, which is proportional to
/// the third derivative, is small.
template <class Module, class F>
void expect_gradients(Module& module, F forward, std::initializer_list<Shape> shapes) {
  std::vector<Tensor<double>> at;  // the inputs, of `shapes`, then the parameters
  for (const Shape& shape : shapes) at.push_back(test::random_tensor<double>(shape, at.size()));
  const std::size_t first = at.size();
  std::vector<std::string> names;
  module.parameters([&](const std::string& name, Parameter<Value>& p) {
    const double deviation =
        p.shape().rank() == 2 ? 1 / std::sqrt(static_cast<double>(p.shape()[1])) : 0.4;
    at.push_back(scale(test::random_tensor<double>(p.shape(), 100 + at.size()), deviation));
    names.push_back(name);
  });
  ASSERT_FALSE(names.empty());
  const auto run = [&](Inputs in) {
    std::size_t n = first;
    module.parameters([&](const std::string&, Parameter<Value>& p) { p.value = in[n++]; });
    return forward(in);
  };
  const GradcheckResult result = gradcheck(run, at);
  std::string list;
  for (std::size_t i = 0; i < names.size(); ++i)
    list += concat("\n  input ", first + i, ": ", names[i]);
  EXPECT_LT(result.worst, kTolerance) << result.where << list;
}

TEST(ModuleGradients, Linear) {
  for (const bool bias : {false, true}) {
    Linear<Value> module(5, 3, bias);
    expect_gradients(module, [&](Inputs in) { return module(in[0]); }, {{2, 4, 5}});
  }
}

TEST(ModuleGradients, TimestepEmbed) {
  TimestepEmbed<Value> module(6);
  const Tensor<double> t(Shape{3}, {0.03, 0.5, 0.97});  // (B)
  expect_gradients(module, [&](Inputs) { return module(t); }, {});
}

TEST(ModuleGradients, LabelEmbed) {
  LabelEmbed<Value> module(4, true, 5);
  const std::vector<std::int64_t> y{4, 1, 4, 0};
  expect_gradients(module, [&](Inputs) { return module(y); }, {});
}

TEST(ModuleGradients, VitBlock) {
  for (const Activation activation : {Activation::gelu, Activation::gelu_tanh})
    for (const bool layer_scale : {false, true}) {
      SCOPED_TRACE(layer_scale);
      VitBlock<Value> module(6, 9, 2, 1e-6, activation, layer_scale);
      expect_gradients(module, [&](Inputs in) { return module(in[0]); }, {{2, 3, 6}});
    }
}

class EncoderGradients : public testing::TestWithParam<EncoderFamily> {};

// Pictures whose grid is that of the position table, and pictures with another grid, for which the
// table is resized.
TEST_P(EncoderGradients, AgreeWithDifferences) {
  Encoder<Value> module({.family = GetParam(),
                         .patch_size = 2,
                         .channels = 2,
                         .hidden_size = GetParam() == EncoderFamily::dinov3 ? 8 : 6,
                         .num_layers = 2,
                         .num_heads = 2,
                         .intermediate_size = 7,
                         .registers = 2,
                         .table_h = 3,
                         .table_w = 2});
  for (const Shape& image : {Shape{2, 2, 6, 4}, Shape{1, 2, 4, 6}})
    expect_gradients(module, [&](Inputs in) { return module(in[0]); }, {image});
}

TEST_P(EncoderGradients, OfHiddenStatesAgreeWithDifferences) {
  Encoder<Value> module({.family = GetParam(),
                         .patch_size = 2,
                         .channels = 1,
                         .hidden_size = 4,
                         .num_layers = 2,
                         .num_heads = 1,
                         .intermediate_size = 5,
                         .registers = 1,
                         .table_h = 2,
                         .table_w = 2});
  expect_gradients(module,
                   [&](Inputs in) {
                     const std::vector<Value> states = module.hidden_states(in[0]);
                     return add(scale(states[0], 0.7), states[1]);
                   },
                   {{1, 1, 4, 4}});
}

INSTANTIATE_TEST_SUITE_P(Families, EncoderGradients,
                         testing::Values(EncoderFamily::dinov2, EncoderFamily::siglip2,
                                         EncoderFamily::mae, EncoderFamily::dinov3));

// The mean of layers with the mean token of the last, a final norm with weights, gated networks.
TEST(ModuleGradients, EncoderOfSeveralLayers) {
  Encoder<Value> module({.family = EncoderFamily::dinov3,
                         .patch_size = 2,
                         .channels = 1,
                         .hidden_size = 4,
                         .num_layers = 3,
                         .num_heads = 1,
                         .intermediate_size = 5,
                         .registers = 1,
                         .gated_mlp = true,
                         .latent_layers = {0, 2},
                         .add_last_mean = true,
                         .final_affine = true});
  expect_gradients(module, [&](Inputs in) { return module(in[0]); }, {{2, 1, 4, 6}});
}

TEST(ModuleGradients, Decoder) {
  Decoder<Value> module({.grid_h = 2,
                         .grid_w = 3,
                         .in_dim = 5,
                         .hidden_size = 6,
                         .num_layers = 2,
                         .num_heads = 3,
                         .intermediate_size = 7,
                         .patch_size = 2,
                         .channels = 3});
  expect_gradients(module, [&](Inputs in) { return module(in[0]); }, {{2, 6, 5}});
  expect_gradients(module, [&](Inputs in) { return module(in[0], 4, 2); }, {{1, 8, 5}});
}

struct BlockCase {
  bool rms, swiglu, qknorm, per_token, rope;
};

class DitBlockGradients : public testing::TestWithParam<int> {};

TEST_P(DitBlockGradients, AgreeWithDifferences) {
  const auto bit = [](int i) { return (GetParam() >> i & 1) != 0; };
  const BlockCase c{bit(0), bit(1), bit(2), bit(3), bit(4)};
  SCOPED_TRACE(concat("rms ", c.rms, ", swiglu ", c.swiglu, ", qk-norm ", c.qknorm, ", per token ",
                      c.per_token, ", rope ", c.rope));
  const RopeTable<double> table = make_rope_table<double>(2, 2, 4);
  DitBlock<Value> module(
      8, 2,
      {.use_swiglu = c.swiglu, .use_rmsnorm = c.rms, .use_qknorm = c.qknorm, .mlp_ratio = 1.5});
  const Shape condition = c.per_token ? Shape{2, 4, 8} : Shape{2, 8};
  expect_gradients(module,
                   [&](Inputs in) { return module(in[0], in[1], c.rope ? &table : nullptr); },
                   {{2, 4, 8}, condition});
}

INSTANTIATE_TEST_SUITE_P(AllOptions, DitBlockGradients, testing::Range(0, 32));

TEST(ModuleGradients, DitFinalLayer) {
  for (const bool rms : {false, true})
    for (const Shape& condition : {Shape{2, 6}, Shape{2, 3, 6}}) {
      DitFinalLayer<Value> module(6, 5, rms);
      expect_gradients(module, [&](Inputs in) { return module(in[0], in[1]); },
                       {{2, 3, 6}, condition});
    }
}

DitDhConfig small_dit_dh(index_t backbone, index_t head) {
  return {.grid_h = 2,
          .grid_w = 2,
          .in_channels = 3,
          .hidden_size = {backbone, head},
          .depth = {1, 1},
          .num_heads = {2, 1},
          .mlp_ratio = 1.5,
          .num_classes = 3,
          .class_dropout_prob = 0.1};
}

void expect_dit_dh_gradients(const DitDhConfig& config, bool checkpointing) {
  DitDh<Value> module(config);
  module.set_checkpointing(checkpointing);
  const Tensor<double> t(Shape{2}, {0.2, 0.9});  // (B)
  const std::vector<std::int64_t> y{1, 3};
  expect_gradients(module, [&](Inputs in) { return module(in[0], t, y); }, {{2, 3, 2, 2}});
}

TEST(ModuleGradients, DitDhWithTwoWidths) { expect_dit_dh_gradients(small_dit_dh(8, 12), false); }

TEST(ModuleGradients, DitDhWithOneWidthHasNoProjector) {
  const DitDhConfig config = small_dit_dh(8, 8);
  EXPECT_TRUE(DitDh<Value>(config).s_projector.empty());
  expect_dit_dh_gradients(config, false);
}

TEST(ModuleGradients, DitDhWithCheckpointing) {
  expect_dit_dh_gradients(small_dit_dh(8, 12), true);
}

TEST(ModuleGradients, DitDhWithTheOtherOptions) {
  DitDhConfig config = small_dit_dh(8, 12);
  config.use_swiglu = config.use_rmsnorm = config.use_rope = config.use_pos_embed = false;
  config.use_qknorm = true;
  expect_dit_dh_gradients(config, false);
}

TEST(ModuleGradients, LightningDit) {
  for (const bool other : {false, true}) {
    SCOPED_TRACE(other);
    LightningDit<Value> module({.input_h = 4,
                                .input_w = 2,
                                .patch_size = other ? 2 : 1,
                                .in_channels = 3,
                                .hidden_size = 8,
                                .depth = 1,
                                .num_heads = 2,
                                .mlp_ratio = 1.5,
                                .num_classes = 3,
                                .learn_sigma = other,
                                .use_swiglu = !other,
                                .use_rmsnorm = !other,
                                .use_rope = !other,
                                .use_qknorm = other});
    const Tensor<double> t(Shape{2}, {0.1, 0.8});  // (B)
    const std::vector<std::int64_t> y{3, 0};
    expect_gradients(module, [&](Inputs in) { return module(in[0], t, y); }, {{2, 3, 4, 2}});
  }
}

}  // namespace
}  // namespace rae
