#include "rae/models/lightning_dit.hpp"

#include <gtest/gtest.h>

#include "rae/diffusion/guidance.hpp"
#include "support/golden_model.hpp"

namespace rae {
namespace {

using test::Golden;

using test::close;

/// The model of a golden case.
LightningDit<Tensor<float>> golden_lightning_dit(const std::string& name) {
  const ConfigNode node = test::golden_config(name);
  LightningDitConfig c;
  c.input_h = c.input_w = node.get<index_t>("input_size");
  c.patch_size = node.get<index_t>("patch_size");
  c.in_channels = node.get<index_t>("in_channels");
  c.hidden_size = node.get<index_t>("hidden_size");
  c.depth = node.get<index_t>("depth");
  c.num_heads = node.get<index_t>("num_heads");
  c.mlp_ratio = node.get<double>("mlp_ratio");
  c.num_classes = node.get<index_t>("num_classes");
  c.class_dropout_prob = node.get<double>("class_dropout_prob");
  c.learn_sigma = node.get<bool>("learn_sigma");
  c.use_swiglu = node.get<bool>("use_swiglu");
  c.use_rmsnorm = node.get<bool>("use_rmsnorm");
  c.use_rope = node.get<bool>("use_rope");
  c.use_qknorm = node.get<bool>("use_qknorm");
  LightningDit<Tensor<float>> model(c);
  test::load(model, Golden(name + "/weights.safetensors"));
  return model;
}

class LightningDitGolden : public testing::TestWithParam<const char*> {};

TEST_P(LightningDitGolden, EveryStageMatches) {
  const std::string name = GetParam();
  const Golden io(name + "/io.safetensors");
  const LightningDit<Tensor<float>> model = golden_lightning_dit(name);
  const LightningDitConfig& config = model.config();
  const Tensor<std::int64_t> y = io.get<std::int64_t>("y");  // (B)
  EXPECT_TRUE(close(model(io("x"), io("t"), y.span()), io("out"), 2e-5));
  const auto expect = [&](const Tensor<float>& actual, const char* stage) {
    EXPECT_TRUE(close(actual, io(stage), 1e-5)) << stage;
  };
  const Tensor<float> time = model.t_embedder(io("t")), label = model.y_embedder(y.span()),
                      c = add(time, label);  // (B, D)
  expect(time, "t_emb");
  expect(label, "y_emb");
  expect(c, "c");
  Tensor<float> z = add_broadcast(model.x_embedder(patchify(io("x"), config.patch_size)),
                                  model.pos_embed.value);  // (B, N, D)
  expect(z, "x_in");
  const RopeTable<float> table = make_rope_table<float>(
      4 / config.patch_size, 4 / config.patch_size, config.hidden_size / config.num_heads);
  const RopeTable<float>* rope = config.use_rope ? &table : nullptr;
  // (B, N, D)
  z = model.blocks[1](test::expect_first_block(io, model.blocks[0], z, c, rope, 1e-5), c, rope);
  expect(z, "block1_out");
  expect(model.final_layer(z, c), "final_tokens");
}

INSTANTIATE_TEST_SUITE_P(Cases, LightningDitGolden,
                         testing::Values("lightningdit_official_flags", "lightningdit_plain"));

// The doubled batch of the official code at t = 0.4. Its scale is 2, except inside an interval
// [lo, hi) of the model's list, where it is the scale of the interval if that is above 1, and 1
// otherwise. The official programs pass no list and so cannot guide this model; `Generator` guides
// it in the same way as DiT^DH. Here the three resulting scales are passed to `guide`.
TEST(LightningDit, ClassifierFreeGuidanceMatches) {
  const Golden io("lightningdit_official_flags/io.safetensors");
  const LightningDit<Tensor<float>> model = golden_lightning_dit("lightningdit_official_flags");
  const Tensor<std::int64_t> y = io.get<std::int64_t>("cfg.y");    // (4)
  const Tensor<float> doubled = io("cfg.x"), times = io("cfg.t");  // (4, C, h, w), (4)
  const Tensor<float> x(Shape{2, 12, 4, 4}, doubled.span().first(384)),
      t(Shape{2}, times.span().first(2));  // (2, 12, 4, 4), (2)
  const Tensor<float> with = model(x, t, y.span().first(2)),
                      without = model(x, t, y.span().last(2));  // (2, 12, 4, 4)
  for (const auto& [name, scale] :
       {std::pair("cfg.default", 2.0), std::pair("cfg.in_interval", 1.0),
        std::pair("cfg.in_interval_icfg3", 3.0)}) {
    Tensor<float> half = with, both(Shape{4, 12, 4, 4});  // (2, C, h, w), (4, C, h, w)
    guide(half, without, scale);
    for (index_t i = 0; i < both.numel(); ++i) both[i] = std::as_const(half)[i % half.numel()];
    EXPECT_TRUE(close(both, io(name), 5e-5)) << name;
  }
}

TEST(LightningDit, RejectsAPatchSizeThatDoesNotDivideTheInput) {
  EXPECT_THROW(
      LightningDit<Tensor<float>>(LightningDitConfig{.input_h = 5, .input_w = 4, .patch_size = 2}),
      ConfigError);
}

}  // namespace
}  // namespace rae
