#include "rae/train/gan_loss.hpp"

#include <cmath>

#include <gtest/gtest.h>

#include "rae/autograd/gradcheck.hpp"
#include "rae/ops/linear.hpp"
#include "rae/ops/loss.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::Golden;

TEST(GanLoss, Matches) {
  const Golden io("gan_losses/io.safetensors");
  const Var<float> real(io("logits_real"), true), fake(io("logits_fake"), true);
  Tape<float> tape;
  const TapeScope<float> scope(tape);
  // The official sums are over all 4 x 37 logits.
  const auto expect = [&](const Var<float>& loss, const std::string& name) {
    EXPECT_TRUE(test::near(loss.value()[0], io(name + "_mean"), 1e-6));
    EXPECT_TRUE(test::near(static_cast<double>(fake.shape().numel()) * loss.value()[0],
                           io(name + "_sum"), 2e-5));
  };
  expect(discriminator_loss(GanLoss::vanilla, real, fake), "vanilla_d");
  expect(generator_loss(fake), "vanilla_g");
  tape.clear();
  const Var<float> loss = discriminator_loss(GanLoss::hinge, real, fake);
  expect(loss, "hinge_d");
  tape.backward(loss);
  EXPECT_TRUE(close(real.grad(), io("hinge_d_grad_real"), 1e-9));
  EXPECT_TRUE(close(fake.grad(), io("hinge_d_grad_fake"), 1e-9));
}

TEST(GanLoss, GradientsAgreeWithDifferences) {
  using Inputs = const std::vector<Var<double>>&;
  const std::vector<Tensor<double>> at{test::random_tensor<double>({3, 7}, 1),
                                       test::random_tensor<double>({2, 5}, 2)};
  for (const GanLoss kind : {GanLoss::hinge, GanLoss::vanilla}) {
    const GradcheckResult result =
        gradcheck([kind](Inputs in) { return discriminator_loss(kind, in[0], in[1]); }, at);
    EXPECT_LT(result.worst, 1e-9) << result.where;
  }
  const GradcheckResult result =
      gradcheck([](Inputs in) { return generator_loss(in[0]); }, {at[0]});
  EXPECT_LT(result.worst, 1e-9) << result.where;
}

TEST(GanLoss, VanillaStaysFiniteForLargeLogits) {
  const Var<float> real(Tensor<float>(Shape{2}, {1e4f, -1e4f}), true),
      fake(Tensor<float>(Shape{2}, {-1e4f, 1e4f}), true);
  Tape<float> tape;
  const TapeScope<float> scope(tape);
  const Var<float> loss = discriminator_loss(GanLoss::vanilla, real, fake);
  EXPECT_EQ(loss.value()[0], 5e3f);
  tape.backward(loss);
  EXPECT_EQ(real.grad()[1], -0.25f);
  EXPECT_EQ(fake.grad()[0], 0.f);
  EXPECT_THROW(generator_loss(Var<float>()), ShapeError);
}

// The golden case: rec = mean |x W^T - target|, gan = -mean tanh(x W^T).
TEST(GanLoss, AdaptiveWeightMatches) {
  const Golden io("gan_losses/io.safetensors");
  const auto gradient = [&](bool gan) {
    const Var<float> weight(io("aw.W"), true);
    Tape<float> tape;
    const TapeScope<float> scope(tape);
    const Var<float> out = linear(Var<float>(io("aw.x")), weight, Var<float>());  // (3, 5)
    if (!gan) {
      const Var<float> loss = l1_loss(out, io("aw.target"));
      EXPECT_TRUE(test::near(loss.value()[0], io("aw.rec"), 1e-6));
      tape.backward(loss);
      return weight.grad();
    }
    Tensor<float> seed(out.shape());  // (3, 5)
    for (index_t i = 0; i < seed.numel(); ++i)
      seed[i] = (std::pow(std::tanh(out.value()[i]), 2.f) - 1) / 15;
    tape.backward(out, seed);
    return weight.grad();
  };
  const Tensor<float> rec = gradient(false), gan = gradient(true);  // (5, D) each
  EXPECT_TRUE(test::near(adaptive_gan_weight(rec, gan), io("aw.weight"), 4e-6));
  EXPECT_TRUE(test::near(adaptive_gan_weight(rec, gan, 1e-2), io("aw.weight_clamped_1e-2"), 1e-9));
  EXPECT_EQ(adaptive_gan_weight(rec, Tensor<float>::zeros(rec.shape())), 1e4);
  EXPECT_THROW((void)adaptive_gan_weight(rec, Tensor<float>(Shape{5}, 0.f)), ShapeError);
}

}  // namespace
}  // namespace rae
