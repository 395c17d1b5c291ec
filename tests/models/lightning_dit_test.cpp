#include "rae/models/lightning_dit.hpp"

#include <gtest/gtest.h>

#include "support/golden_model.hpp"

namespace rae {
namespace {

using test::Golden;

class LightningDitGolden : public testing::TestWithParam<const char*> {};

TEST_P(LightningDitGolden, ForwardMatches) {
  const std::string name = GetParam();
  const Golden io(name + "/io.safetensors"), weights(name + "/weights.safetensors");
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
  test::load(model, weights);
  const Tensor<std::int64_t> y = io.get<std::int64_t>("y");
  EXPECT_TRUE(test::close(model(io("x"), io("t"), y.span()), io("out"), 2e-5));
}

INSTANTIATE_TEST_SUITE_P(Cases, LightningDitGolden, testing::Values("lightningdit_official_flags", "lightningdit_plain"));

TEST(LightningDit, RejectsAPatchThatDoesNotDivide) {
  EXPECT_THROW(LightningDit<Tensor<float>>(LightningDitConfig{.input_h = 5, .input_w = 4, .patch_size = 2}), ConfigError);
}

}  // namespace
}  // namespace rae
