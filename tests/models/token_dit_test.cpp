// The diffusion networks of RAEv2 with condition tokens against golden outputs of the official
// code.
#include "rae/models/token_dit.hpp"

#include <gtest/gtest.h>

#include "rae/formats/fill_weights.hpp"
#include "rae/models/initialize.hpp"
#include "rae/models/token_dit_dh.hpp"
#include "support/golden.hpp"
#include "support/golden_token_dit.hpp"

namespace rae {
namespace {

using test::close;
using test::Golden;

TEST(TokenDit, OutputsMatchTheGoldenOnes) {
  const ConfigNode node = test::golden_config("v2_lightningdit");
  TokenDitConfig c;
  test::read_token_dit_sizes(node, c);
  const ConfigNode& params = node.at("params");
  c.patch_size = params.get<index_t>("patch_size");
  c.hidden_size = params.get<index_t>("hidden_size");
  c.depth = params.get<index_t>("depth");
  c.num_heads = params.get<index_t>("num_heads");
  TokenDit<Tensor<float>> model(c);
  fill_weights(model,
               {TensorSource::open(test::data_path("golden/v2_lightningdit/weights.safetensors")),
                token_dit_names(false)});
  const Golden io("v2_lightningdit/io.safetensors");
  const Tensor<std::int64_t> y = io.get<std::int64_t>("y");  // (B)
  const auto condition = model.conditioning(io("t"), y.span());
  const auto out = model.outputs(io("x"), condition, {.base = true, .aligned = true});
  EXPECT_TRUE(close(out.full, io("out"), 5e-5));
  EXPECT_TRUE(close(out.base, io("out_base"), 5e-5));
  EXPECT_TRUE(close(out.aligned, io("inter.repa"), 5e-5));
  const auto plain = model.outputs(io("x"), condition, {});
  EXPECT_TRUE(close(plain.full, out.full, 0.0));
  EXPECT_TRUE(plain.base.empty() && plain.aligned.empty());
}

TEST(TokenDitDh, EveryStageMatches) {
  const ConfigNode node = test::golden_config("v2_ddt");
  const TokenDitDhConfig c = test::token_dit_dh_sizes(node);
  TokenDitDh<Tensor<float>> model(c);
  fill_weights(model, {TensorSource::open(test::data_path("golden/v2_ddt/weights.safetensors")),
                       token_dit_names(true)});
  const Golden io("v2_ddt/io.safetensors");
  const Tensor<std::int64_t> y = io.get<std::int64_t>("y");  // (B)
  const auto condition = model.conditioning(io("t"), y.span());
  const index_t b = y.numel(), h = c.hidden_size;
  EXPECT_TRUE(close(condition.time, io("inter.t_emb").reshaped({b, h}), 1e-5));
  const Tensor<float> tokens =
      condition.tokens.reshaped({b, c.time_tokens + c.class_tokens, h});  // (B, n, h)
  EXPECT_TRUE(close(slice_tokens(tokens, 0, c.time_tokens), io("inter.t_tokens"), 1e-5));
  EXPECT_TRUE(close(drop_tokens(tokens, c.time_tokens), io("inter.c_tokens"), 1e-5));
  const auto out = model.outputs(io("x"), condition, {.base = true, .aligned = true});
  EXPECT_TRUE(close(out.full, io("out"), 5e-5));
  EXPECT_TRUE(close(out.base, io("out_base"), 5e-5));
  EXPECT_TRUE(close(out.aligned, io("inter.repa"), 5e-5));
  // The null class, and both classes of an image at the same time.
  std::vector<std::int64_t> both(y.span().begin(), y.span().end());
  both.resize(static_cast<std::size_t>(2 * b), c.num_classes);
  const Tensor<float> t = repeat(io("t"), 2);  // (2 B)
  const auto pairs = model.outputs(io("x"), model.conditioning(t, both), {.base = true});
  const auto half = [&](const Tensor<float>& x, index_t i) {
    const auto n = static_cast<std::size_t>(x.numel() / 2);
    return Tensor<float>(io("out").shape(),
                         x.span().subspan(static_cast<std::size_t>(i) * n, n));  // (B, C, h, w)
  };
  EXPECT_TRUE(close(half(pairs.full, 0), io("out"), 5e-5));
  EXPECT_TRUE(close(half(pairs.full, 1), io("out_null"), 5e-5));
  EXPECT_TRUE(close(half(pairs.base, 1), io("out_base_null"), 5e-5));
  // Backbone and head apart give the same bits.
  const Tensor<float> flat = grid_to_tokens(io("x"));  // (B, N, C)
  EXPECT_TRUE(
      close(model.velocity(flat, model.backbone(flat, condition), condition), out.full, 0.0));
}

TEST(TokenDitDh, HeadsThatItLacksAreRefused) {
  TokenDitDhConfig c;
  c.input_h = c.input_w = 2;
  c.in_channels = 4;
  c.hidden_size = c.head_hidden_size = 8;
  c.num_heads = c.head_num_heads = 2;
  c.depth = c.head_depth = 1;
  c.num_classes = 3;
  TokenDitDh<Tensor<float>> model(c);
  initialize(model, 1);
  const Tensor<float> x(Shape{1, 4, 2, 2}, 0.5f), t(Shape{1}, 0.5f);
  const std::vector<std::int64_t> y{3};
  const auto condition = model.conditioning(t, y);
  EXPECT_THROW((void)model.outputs(x, condition, {.base = true}), ArgumentError);
  EXPECT_THROW((void)model.outputs(x, condition, {.aligned = true}), ArgumentError);
  EXPECT_THROW((void)model.conditioning(t, std::vector<std::int64_t>{4}), ArgumentError);
  // Initial outputs are 0, and widths that are equal need no projection between them.
  EXPECT_TRUE(close(model(x, condition), Tensor<float>(x.shape(), 0.0f), 0.0));
  EXPECT_TRUE(model.s_projector.empty());
}

}  // namespace
}  // namespace rae
