#include "rae/models/dit_dh.hpp"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "rae/core/parallel.hpp"
#include "rae/core/workspace.hpp"
#include "rae/diffusion/guidance.hpp"
#include "rae/ops/loss.hpp"
#include "support/golden_model.hpp"

namespace rae {
namespace {

using test::close;
using test::Golden;

class DitDhGolden : public testing::TestWithParam<const char*> {};

TEST_P(DitDhGolden, ForwardMatches) {
  const std::string name = GetParam();
  const Golden io(name + "/io.safetensors"), weights(name + "/weights.safetensors");
  DitDh<Tensor<float>> model(test::dit_dh_config(test::golden_config(name)));
  test::load(model, weights);
  const Tensor<std::int64_t> y = io.get<std::int64_t>("y");     // (B)
  const Tensor<float> out = model(io("x"), io("t"), y.span());  // (B, C, h, w)
  EXPECT_TRUE(close(out, io("out"), 2e-5));
  pack_parameters(model);
  const Tensor<float> packed = model(io("x"), io("t"), y.span());  // (B, C, h, w)
  EXPECT_TRUE(close(packed, out, 0.0));
}

TEST_P(DitDhGolden, EveryStageMatches) {
  const std::string name = GetParam();
  const Golden io(name + "/io.safetensors");
  const DitDhConfig config = test::dit_dh_config(test::golden_config(name));
  DitDh<Tensor<float>> model(config);
  test::load(model, Golden(name + "/weights.safetensors"));
  const auto expect = [&](const Tensor<float>& actual, const std::string& stage) {
    const Tensor<float> expected = io(stage);  // as `actual`
    double largest = 1;
    for (const float v : expected.span())
      largest = std::max(largest, std::abs(static_cast<double>(v)));
    EXPECT_TRUE(close(actual, expected, 1e-5 * largest)) << stage;
  };
  const Tensor<float> tokens = grid_to_tokens(io("x"));      // (B, N, C)
  const Tensor<std::int64_t> y = io.get<std::int64_t>("y");  // (B)
  const Tensor<float> time = model.t_embedder(io("t"));      // (B, h)
  const Tensor<float> label = model.y_embedder(y.span());    // (B, h)
  const Tensor<float> c = silu(add(time, label));            // (B, h)
  Tensor<float> s = model.s_embedder(tokens);                // (B, N, h)
  expect(time, "t_emb");
  expect(label, "y_emb");
  expect(c, "c");
  expect(s, "s_embed");
  if (config.use_pos_embed) s = add_broadcast(s, model.pos_embed.value);
  expect(s, "s_in");
  const auto rope_of = [&](std::size_t part) {
    return make_rope_table<float>(config.grid_h, config.grid_w,
                                  config.hidden_size[part] / config.num_heads[part]);
  };
  const RopeTable<float> backbone_rope = rope_of(0), head_rope = rope_of(1);
  s = test::expect_first_block(io, model.blocks[0], s, c,
                               config.use_rope ? &backbone_rope : nullptr, 1e-5);
  for (index_t i = 1; i < config.depth[0]; ++i) {
    s = model.blocks[static_cast<std::size_t>(i)](s, c, config.use_rope ? &backbone_rope : nullptr);
    expect(s, concat("block", i, "_out"));
  }
  s = silu(add_per_image(s, time));  // (B, N, h)
  expect(s, "s_cond_in");
  if (!model.s_projector.empty()) s = model.s_projector(s);  // (B, N, d)
  expect(s, "s_cond");
  Tensor<float> z = model.x_embedder(tokens);  // (B, N, d)
  expect(z, "x_embed");
  for (index_t i = config.depth[0]; i < config.depth[0] + config.depth[1]; ++i) {
    z = model.blocks[static_cast<std::size_t>(i)](z, s, config.use_rope ? &head_rope : nullptr);
    expect(z, concat("block", i, "_out"));
  }
  expect(model.final_layer(z, s), "final_tokens");
}

INSTANTIATE_TEST_SUITE_P(Cases, DitDhGolden,
                         testing::Values("ddt_official_flags", "ddt_same_width",
                                         "ddt_layernorm_gelu"));

// Labels of the null class, and a given condition instead of the backbone's output.
TEST(DitDhParts, NullLabelsAndAGivenConditionMatch) {
  for (const std::string name : {"ddt_official_flags", "ddt_same_width"}) {
    const Golden io(name + "/io.safetensors");
    DitDh<Tensor<float>> model(test::dit_dh_config(test::golden_config(name)));
    test::load(model, Golden(name + "/weights.safetensors"));
    const Tensor<std::int64_t> null = io.get<std::int64_t>("y_null");  // (B)
    EXPECT_TRUE(close(model(io("x"), io("t"), null.span()), io("out_null"), 2e-5)) << name;
    if (!io.contains("s_given")) continue;
    const Tensor<float> out = model.head(grid_to_tokens(io("x")), io("s_given"));  // (B, N, C)
    EXPECT_TRUE(close(tokens_to_grid(out, 4, 4), io("out_s_given"), 2e-5)) << name;
  }
}

// As in the official code, the batch is doubled: four samples with their labels, then the same four
// with the null class. The golden result has two equal halves.
TEST(DitDhParts, ClassifierFreeGuidanceMatches) {
  const Golden io("ddt_official_flags/io.safetensors");
  DitDh<Tensor<float>> model(test::dit_dh_config(test::golden_config("ddt_official_flags")));
  test::load(model, Golden("ddt_official_flags/weights.safetensors"));
  const Tensor<std::int64_t> y = io.get<std::int64_t>("cfg.y");  // (8)
  const Tensor<float> x = io("cfg.x_half"), times = io("cfg.t"),
                      t(Shape{4}, times.span().first(4));  // (4, C, h, w), (8), (4)
  const Tensor<float> with = model(x, t, y.span().first(4)),
                      without = model(x, t, y.span().last(4));  // (4, C, h, w)
  EXPECT_TRUE(close(with, io("cfg.out_cond"), 2e-5));
  EXPECT_TRUE(close(without, io("cfg.out_uncond"), 2e-5));
  const auto expect_both_halves = [&](const Cfg& guidance, const std::string& name) {
    Tensor<float> half = with, both(Shape{8, 12, 4, 4});  // (4, C, h, w), (8, C, h, w)
    guide(half, without, t, guidance);
    for (index_t i = 0; i < both.numel(); ++i) both[i] = std::as_const(half)[i % half.numel()];
    EXPECT_TRUE(close(both, io(name), 5e-5)) << name;
  };
  expect_both_halves({.scale = 1.5f}, "cfg.out_scale1.5_full");
  expect_both_halves({.scale = 3.0f, .t_min = 0.3f, .t_max = 0.6f}, "cfg.out_scale3_int0.3_0.6");
}

// The velocities of the model and of its guide, and their combination for all samples or only for
// those whose time is in an interval.
TEST(DitDhGoldenPair, AutoGuidanceMatches) {
  const Golden io("ddt_autoguidance/io.safetensors");
  const ConfigNode node = test::golden_config("ddt_autoguidance");
  DitDh<Tensor<float>> model(test::dit_dh_config(node.at("main"))),
      weaker(test::dit_dh_config(node.at("guide")));
  test::load(model, Golden("ddt_autoguidance/weights.safetensors"));
  test::load(weaker, Golden("ddt_autoguidance/guide_weights.safetensors"));
  const Tensor<float> x = io("x"), t = io("t");              // (B, C, h, w), (B)
  const Tensor<std::int64_t> y = io.get<std::int64_t>("y");  // (B)
  // (B, C, h, w) each
  const Tensor<float> velocity = model(x, t, y.span()), other = weaker(x, t, y.span());
  EXPECT_TRUE(close(velocity, io("out_main"), 2e-5));
  EXPECT_TRUE(close(other, io("out_guide"), 2e-5));
  Tensor<float> everywhere = velocity, inside = velocity;  // (B, C, h, w)
  guide(everywhere, other, t, AutoGuidance{.scale = 1.42f});
  EXPECT_TRUE(close(everywhere, io("ag_1_42"), 5e-5));
  // The interval excludes t = 0.05 and 0.95.
  guide(inside, other, t, AutoGuidance{.scale = 2.0f, .t_min = 0.1f, .t_max = 0.9f});
  EXPECT_TRUE(close(inside, io("ag_2_int"), 5e-5));
}

TEST(DitDh, ThreadCountDoesNotChangeABit) {
  const Golden io("ddt_official_flags/io.safetensors"),
      weights("ddt_official_flags/weights.safetensors");
  DitDh<Tensor<float>> model(test::dit_dh_config(test::golden_config("ddt_official_flags")));
  test::load(model, weights);
  const Tensor<std::int64_t> y = io.get<std::int64_t>("y");  // (B)
  set_num_threads(1);
  const Tensor<float> one = model(io("x"), io("t"), y.span());  // (B, C, h, w)
  set_num_threads(3);
  const Tensor<float> three = model(io("x"), io("t"), y.span());  // (B, C, h, w)
  set_num_threads(0);
  EXPECT_TRUE(close(three, one, 0.0));
}

TEST(DitDh, WarmStepAllocatesNothing) {
  const Golden io("ddt_official_flags/io.safetensors"),
      weights("ddt_official_flags/weights.safetensors");
  DitDh<Tensor<float>> model(test::dit_dh_config(test::golden_config("ddt_official_flags")));
  test::load(model, weights);
  pack_parameters(model);
  const Tensor<std::int64_t> y = io.get<std::int64_t>("y");  // (B)
  const Tensor<float> x = io("x"), t = io("t");              // (B, C, h, w), (B)
  Workspace workspace;
  const WorkspaceScope scope(workspace);
  model(x, t, y.span());
  const auto allocations = workspace.allocations();
  model(x, t, y.span());
  EXPECT_EQ(workspace.allocations(), allocations);
}

TEST(DitDh, RejectsWrongInput) {
  DitDh<Tensor<float>> model(test::dit_dh_config(test::golden_config("ddt_official_flags")));
  const std::int64_t y[] = {1}, outside[] = {11};
  const Tensor<float> t(Shape{1}, 0.5f);  // (B)
  EXPECT_THROW(model(Tensor<float>(Shape{1, 5, 4, 4}, 0.f), t, y), ShapeError);
  EXPECT_THROW(model(Tensor<float>(Shape{12, 4, 4}, 0.f), t, y), ShapeError);
  EXPECT_THROW(model(Tensor<float>(Shape{1, 12, 4, 4}, 0.f), t, outside), ArgumentError);
}

// The loss and all gradients of the official training step, before clipping, with and without
// activation checkpointing.
class DitDhTraining : public testing::TestWithParam<bool> {};

TEST_P(DitDhTraining, GradientsMatch) {
  const Golden io("ddt_train/io.safetensors"), weights("ddt_train/weights.safetensors");
  const DitDhConfig config = test::dit_dh_config(test::golden_config("ddt_train"));
  DitDh<Var<float>> model(config);
  test::load(model, weights);
  model.set_checkpointing(GetParam());
  const Tensor<float> x1 = io("step0.x1"), x0 = io("step0.x0"), t = io("step0.t"),
                      drop = io("step0.drop_u");             // (B, C, h, w) twice, (B) twice
  Tensor<std::int64_t> y = io.get<std::int64_t>("step0.y");  // (B)
  for (index_t i = 0; i < y.numel(); ++i)
    if (drop[i] < static_cast<float>(config.class_dropout_prob)) y[i] = config.num_classes;
  Tensor<float> xt(x1.shape()), target(x1.shape());  // (B, C, h, w)
  const index_t n = x1.numel() / x1.extent(0);
  for (index_t i = 0; i < x1.numel(); ++i) {
    xt[i] = (1 - t[i / n]) * x1[i] + t[i / n] * x0[i];
    target[i] = x0[i] - x1[i];
  }
  Tape<float> tape;
  const TapeScope<float> scope(tape);
  const Var<float> prediction = model(Var<float>(xt), t, y.span());  // (B, C, h, w)
  EXPECT_TRUE(close(prediction.value(), io("step0.pred"), 1e-5));
  const Var<float> loss = mse_loss(prediction, target);  // ()
  EXPECT_TRUE(test::near(loss.value()[0], io("step0.loss"), 1e-5));
  tape.backward(loss);
  model.parameters([&](const std::string& name, Parameter<Var<float>>& p) {
    const Tensor<float> expected = io("grad." + name);  // as p
    double largest = 0;
    for (const float g : expected.span())
      largest = std::max(largest, std::abs(static_cast<double>(g)));
    ASSERT_FALSE(p.value.grad().empty()) << name;
    EXPECT_TRUE(close(p.value.grad(), expected.reshaped(p.shape()), 1e-4 * largest + 1e-6)) << name;
  });
}

INSTANTIATE_TEST_SUITE_P(Checkpointing, DitDhTraining, testing::Bool());

}  // namespace
}  // namespace rae
