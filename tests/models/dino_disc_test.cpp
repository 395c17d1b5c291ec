#include "rae/models/dino_disc.hpp"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "rae/formats/fill_weights.hpp"
#include "rae/models/name_map.hpp"
#include "support/golden_model.hpp"

namespace rae {
namespace {

using test::close;
using test::Golden;

/// The discriminator of the golden data.
template <class X>
DinoDiscriminator<X> golden_discriminator() {
  const ConfigNode node = test::golden_config("dino_disc_tiny"), recipe = node.at("recipe");
  const index_t width = recipe.get<index_t>("embed_dim");
  DinoDiscriminator<X> model({.image_size = node.get<index_t>("img_size"),
                              .patch_size = recipe.get<index_t>("patch_size"),
                              .hidden_size = width,
                              .num_layers = recipe.get<index_t>("depth"),
                              .num_heads = recipe.get<index_t>("num_heads"),
                              .intermediate_size = 4 * width,
                              .key_layers = node.get<std::vector<index_t>>("key_depths"),
                              .kernel_size = node.get<index_t>("ks")});
  const Golden dino("dino_disc_tiny/dino.safetensors"),
      weights("dino_disc_tiny/weights.safetensors");
  const NameMap same = [](const std::string& name) { return std::vector<std::string>{name}; };
  fill_weights(model.backbone, {TensorSource(dino.file()), same});
  test::load(model, weights);
  model.buffers([&](const std::string& name, Tensor<float>& t) { t = weights(name); });
  return model;
}

/// The largest magnitude.
double largest(const Tensor<float>& x) {
  double most = 0;
  for (const float value : x.span()) most = std::max(most, std::abs(static_cast<double>(value)));
  return most;
}

TEST(DinoDisc, ActivationsAndLogitsMatch) {
  const Golden io("dino_disc_tiny/io.safetensors");
  const auto model = golden_discriminator<Tensor<float>>();
  const std::vector<Tensor<float>> tokens = model.activations(io("fake"));  // (2, D, N) each
  ASSERT_EQ(tokens.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_TRUE(close(tokens[i], io("act" + std::to_string(i)), 2e-5)) << i;
  // The stored vectors of the power iteration are still random, so u^T W v is small by cancellation
  // and logits reach 84. The tolerance is 1e-5 of the largest.
  const Tensor<float> expected = io("eval.logits_fake");  // (2, 192)
  EXPECT_TRUE(close(model(io("fake")), expected, 1e-5 * largest(expected)));
}

TEST(DinoDisc, TrainingStepMatches) {
  const Golden io("dino_disc_tiny/io.safetensors");
  auto model = golden_discriminator<Var<float>>();
  Tape<float> tape;
  const TapeScope<float> scope(tape);
  model.power_iteration();
  const Var<float> fake = model(Var<float>(io("fake")));  // (2, 192)
  EXPECT_TRUE(close(fake.value(), io("train.logits_fake"), 2e-5));
  model.power_iteration();
  const Var<float> real = model(Var<float>(io("real")));  // (2, 192)
  EXPECT_TRUE(close(real.value(), io("train.logits_real"), 2e-5));
  model.buffers([&](const std::string& name, const Tensor<float>& t) {
    EXPECT_TRUE(close(t, io("u_after." + name), 1e-5)) << name;
  });

  // The gradient of 0.5 (mean max(0, 1 - real) + mean max(0, 1 + fake)) with respect to the logits.
  const auto count = static_cast<float>(real.value().numel());
  Tensor<float> seed(Shape{2, 384});  // (B, real and fake logits)
  double loss = 0;
  for (index_t i = 0; i < seed.numel(); ++i) {
    const bool first = i % 384 < 192;
    const float logit =
        first ? real.value()[i / 384 * 192 + i % 192] : fake.value()[i / 384 * 192 + i % 192];
    const float margin = first ? 1 - logit : 1 + logit;
    loss += std::max(0.0, static_cast<double>(margin)) / (2.0 * static_cast<double>(count));
    seed[i] = margin > 0 ? (first ? -0.5f : 0.5f) / count : 0.0f;
  }
  EXPECT_TRUE(test::near(loss, io("train.d_loss"), 1e-5));
  tape.backward(join_columns(real, fake), seed);
  model.parameters([&](const std::string& name, Parameter<Var<float>>& p) {
    const Tensor<float> expected = io("grad." + name);  // as p
    ASSERT_FALSE(p.value.grad().empty()) << name;
    // A bias before a norm has no effect; its gradient is rounding noise around zero.
    const double tolerance = 1e-4 * largest(expected) + 1e-6;
    EXPECT_TRUE(close(p.value.grad(), expected, tolerance)) << name;
  });
  model.backbone.parameters([](const std::string& name, const Parameter<Var<float>>& p) {
    EXPECT_TRUE(p.value.grad().empty()) << name;
  });
}

TEST(DinoDisc, GradientOfTheGeneratorsLossMatches) {
  const Golden io("dino_disc_tiny/io.safetensors");
  // The golden gradient was computed in evaluation mode, after the two power iterations of the
  // training step.
  auto model = golden_discriminator<Var<float>>();
  for (int i = 0; i < 2; ++i) model.power_iteration();
  const Var<float> images(io("fake"), true);  // (2, 3, H, W)
  Tape<float> tape;
  const TapeScope<float> scope(tape);
  const Var<float> logits = model(images);  // (2, 192)
  double sum = 0;
  for (const float value : logits.value().span()) sum -= static_cast<double>(value);
  EXPECT_TRUE(test::near(sum / 384, io("gen.loss"), 1e-5));
  tape.backward(logits, Tensor<float>(logits.shape(), -1.0f / 384));
  const Tensor<float> expected = io("gen.grad_image");  // (2, 3, H, W)
  EXPECT_TRUE(close(images.grad(), expected, 1e-4 * largest(expected)));
}

TEST(DinoDisc, InitialHeadsDependOnTheSeed) {
  const Golden io("dino_disc_tiny/io.safetensors");
  auto model = golden_discriminator<Tensor<float>>();
  const auto logits = [&](std::uint64_t seed) {
    initialize(model, seed);
    return model(io("fake"));
  };
  const Tensor<float> one = logits(1);  // (2, 192)
  EXPECT_TRUE(all_finite(one.span()));
  EXPECT_TRUE(close(one, logits(1), 0));
  EXPECT_FALSE(close(one, logits(2), 1e-3));
  // The heads have different weights, and the logits are of moderate size, since the weights have a
  // spectral norm near one.
  EXPECT_FALSE(
      close(model.heads[0].first.conv.weight.value, model.heads[1].first.conv.weight.value, 1e-3));
  EXPECT_LT(largest(one), 10);
}

TEST(DinoDisc, RejectsWrongConfigurationsAndPictures) {
  using Model = DinoDiscriminator<Tensor<float>>;
  const DinoDiscConfig tiny{.image_size = 8,
                            .patch_size = 4,
                            .hidden_size = 4,
                            .num_layers = 2,
                            .num_heads = 2,
                            .intermediate_size = 4};
  const auto with = [&](auto change) {
    DinoDiscConfig c = tiny;
    c.key_layers = {0};
    c.kernel_size = 3;
    change(c);
    return c;
  };
  EXPECT_THROW(Model(with([](DinoDiscConfig& c) { c.patch_size = 3; })), ConfigError);
  EXPECT_THROW(Model(with([](DinoDiscConfig& c) { c.key_layers = {2}; })), ConfigError);
  EXPECT_THROW(Model(with([](DinoDiscConfig& c) { c.kernel_size = 4; })), ConfigError);
  EXPECT_THROW(Model(with([](DinoDiscConfig& c) { c.num_heads = 3; })), ConfigError);
  const Model model(with([](DinoDiscConfig&) {}));
  EXPECT_THROW(model(Tensor<float>(Shape{1, 1, 8, 8}, 0.f)), ShapeError);
  EXPECT_THROW(model(Tensor<float>(Shape{3, 8, 8}, 0.f)), ShapeError);
}

}  // namespace
}  // namespace rae
