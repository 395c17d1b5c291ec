#include "rae/models/decoder.hpp"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "rae/formats/fill_weights.hpp"
#include "rae/models/name_map.hpp"
#include "rae/ops/loss.hpp"
#include "support/golden_model.hpp"

namespace rae {
namespace {

using test::close;
using test::Golden;

TEST(Decoder, EveryStageMatches) {
  const Golden io("decoder_tiny/io.safetensors"), weights("decoder_tiny/weights.safetensors");
  Decoder<Tensor<float>> decoder(test::decoder_config(test::golden_config("decoder_tiny")));
  fill_weights(decoder, {TensorSource(weights.file()), decoder_names()});
  Tensor<float> x =
      add_broadcast(prepend_tokens(decoder.cls_token.value, decoder.embed(io("tokens"))),
                    decoder.pos_embed.value);  // (2, 17, 48)
  EXPECT_TRUE(close(x, io("embed_in"), 1e-5));
  for (std::size_t i = 0; i < decoder.layers.size(); ++i) {
    x = decoder.layers[i](x);  // (2, 17, 48)
    EXPECT_TRUE(close(x, io("layer" + std::to_string(i) + "_out"), 1e-5)) << i;
  }
  EXPECT_TRUE(close(decoder.patches(io("tokens")), io("logits"), 1e-5));
  EXPECT_TRUE(close(decoder(io("tokens")), io("image"), 1e-5));
  EXPECT_TRUE(close(decoder.patches(drop_tokens(io("tokens_cls"), 1)), io("logits_dropcls"), 1e-5));
}

TEST(Decoder, TokensOfAnotherGridAreResizedAfterTheEmbedding) {
  const Golden io("decoder_tiny/io.safetensors"), weights("decoder_tiny/weights.safetensors");
  Decoder<Tensor<float>> decoder(test::decoder_config(test::golden_config("decoder_tiny")));
  fill_weights(decoder, {TensorSource(weights.file()), decoder_names()});
  EXPECT_TRUE(close(decoder.patches(io("tokens_9"), 3, 3), io("logits_9"), 1e-5));
  EXPECT_TRUE(close(decoder.patches(io("tokens_25"), 5, 5), io("logits_25"), 1e-5));
  EXPECT_EQ(decoder(io("tokens_9"), 1, 9).shape(), (Shape{2, 3, 16, 16}));
  EXPECT_THROW(decoder(io("tokens_9")), ShapeError);
  EXPECT_THROW(decoder(io("tokens_9"), 3, 4), ShapeError);
  EXPECT_THROW(decoder(io("tokens_9"), -3, -3), ShapeError);
}

TEST(Decoder, TrainingStepMatches) {
  const Golden io("decoder_train/io.safetensors"), weights("decoder_train/weights.safetensors");
  const ConfigNode node = test::golden_config("decoder_train");
  Decoder<Var<float>> decoder(test::decoder_config(node));
  fill_weights(decoder, {TensorSource(weights.file()), decoder_names()});
  const auto mean = node.get<std::vector<float>>("image_mean"),
             deviation = node.get<std::vector<float>>("image_std");
  Tape<float> tape;
  const TapeScope<float> scope(tape);
  const Var<float> normalised = decoder(Var<float>(io("step0.tokens")));  // (B, 3, H, W)
  // The loss compares pictures, recon = normalised * std + mean, so its gradient with respect to
  // `normalised` has the factor std.
  Tensor<float> recon = normalised.value(), target = io("step0.target"),
                seed(recon.shape());  // (B, 3, H, W)
  const index_t plane = recon.extent(2) * recon.extent(3);
  float *r = recon.data(), *s = seed.data();
  double loss = 0;
  for (index_t i = 0; i < recon.numel(); ++i) {
    const auto channel = static_cast<std::size_t>(i / plane % 3);
    r[i] = r[i] * deviation[channel] + mean[channel];
    const float difference = r[i] - std::as_const(target)[i];
    loss += std::abs(static_cast<double>(difference)) / static_cast<double>(recon.numel());
    s[i] = (difference > 0 ? 1.f : -1.f) * deviation[channel] / static_cast<float>(recon.numel());
  }
  EXPECT_TRUE(close(recon, io("step0.recon"), 1e-5));
  EXPECT_TRUE(test::near(loss, io("step0.loss"), 1e-5));
  tape.backward(normalised, seed);
  const NameMap names = decoder_names();
  decoder.parameters([&](const std::string& name, Parameter<Var<float>>& p) {
    const std::vector<std::string> files = names(name);
    ASSERT_FALSE(p.value.grad().empty()) << name;
    index_t row = 0;
    for (const std::string& file : files) {
      const Tensor<float> expected = io("grad." + file);  // as the tensor in the file
      // expected's shape
      const Tensor<float> part(expected.shape(), p.value.grad().span().subspan(
                                                     static_cast<std::size_t>(row),
                                                     static_cast<std::size_t>(expected.numel())));
      row += expected.numel();
      double largest = 0;
      for (const float g : expected.span())
        largest = std::max(largest, std::abs(static_cast<double>(g)));
      // Softmax does not depend on the key bias, so its gradient is rounding noise around zero.
      const bool zero = file.find("key.bias") != std::string::npos;
      EXPECT_TRUE(close(part, zero ? Tensor<float>(expected.shape(), 0.f) : expected,
                        zero ? 1e-6 : 1e-4 * largest + 1e-6))
          << file;
    }
  });
}

TEST(Decoder, RejectsAnotherTokenGrid) {
  const Decoder<Tensor<float>> decoder(DecoderConfig{.grid_h = 2,
                                                     .grid_w = 2,
                                                     .in_dim = 4,
                                                     .hidden_size = 8,
                                                     .num_layers = 1,
                                                     .num_heads = 2,
                                                     .intermediate_size = 8,
                                                     .patch_size = 2});
  EXPECT_THROW(decoder(Tensor<float>(Shape{1, 3, 4}, 0.f)), ShapeError);
  EXPECT_THROW(decoder(Tensor<float>(Shape{1, 4, 5}, 0.f)), ShapeError);
  EXPECT_EQ(decoder(Tensor<float>(Shape{2, 4, 4}, 0.f)).shape(), (Shape{2, 3, 4, 4}));
}

}  // namespace
}  // namespace rae
