#include "rae/ops/channels.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "rae/ops/activation.hpp"
#include "support/gradients.hpp"

namespace rae {
namespace {

using test::expect_gradients;
using test::Inputs;
using test::random_tensor;

TEST(ChannelOps, ChannelAffine) {
  expect_gradients([](Inputs in) { return channel_affine(in[0], in[1], in[2]); },
                   {{2, 3, 5, 2}, {3}, {3}});
  // (1, 2, 2), (2), (2)
  const Tensor<float> x(Shape{1, 2, 2}, {1, 2, 3, 4}), w(Shape{2}, {2, -1}), b(Shape{2}, {0.5f, 0});
  const Tensor<float> out = channel_affine(x, w, b);  // (1, 2, 2)
  EXPECT_EQ(out[1], 4.5f);
  EXPECT_EQ(out[2], -3.f);
  EXPECT_THROW(channel_affine(x, b, Tensor<float>(Shape{3}, 0.f)), ShapeError);
  EXPECT_THROW(channel_affine(w, w, b), ShapeError);
}

TEST(ChannelOps, UnitChannels) {
  expect_gradients([](Inputs in) { return unit_channels(in[0]); }, {{2, 3, 5, 2}});
  const Tensor<double> out =
      unit_channels(random_tensor<double>({2, 3, 19, 17}, 1));  // more positions than a block has
  for (const index_t at : {0, 300, 3 * 323 + 322})
    EXPECT_NEAR(std::hypot(out[at], out[at + 323], out[at + 646]), 1, 1e-9) << at;
}

TEST(ChannelOps, UnitChannelsOfZeroHasAFiniteGradient) {
  const Var<float> x(Tensor<float>::zeros({1, 3, 2}), true);
  Tape<float> tape;
  const TapeScope<float> scope(tape);
  tape.backward(leaky_relu(unit_channels(leaky_relu(x, 0.f)), 0.f));
  for (const float g : x.grad().span()) EXPECT_EQ(g, 0.f);
}

TEST(ChannelOps, ChannelDistance) {
  const Tensor<double> weight(Shape{3}, {0.3, 0.0, 2.0});  // (3)
  expect_gradients([&](Inputs in) { return channel_distance(in[0], in[1], weight); },
                   {{2, 3, 5, 2}, {2, 3, 5, 2}});
  // (1, 3, 2) each
  const Tensor<double> x(Shape{1, 3, 2}, {1, 2, 3, 4, 5, 6}), y(Shape{1, 3, 2}, {0, 0, 0, 0, 6, 4});
  EXPECT_NEAR(channel_distance(x, y, weight)[0], (0.3 * 5 + 2 * 5) / 2, 1e-12);
  EXPECT_THROW(channel_distance(x, y, Tensor<double>(Shape{2}, 0.0)), ShapeError);
}

TEST(ChannelOps, ThreadCountDoesNotChangeABit) {
  const Tensor<float> at = random_tensor<float>({3, 5, 41, 23}, 1),
                      other = random_tensor<float>(at.shape(), 2);  // (3, 5, 41, 23) each
  const Tensor<float> weight = random_tensor<float>({5}, 3);        // (5)
  EXPECT_TRUE(test::same_on_every_thread_count([&] {
    const Var<float> x(at, true), w(weight, true);
    Tape<float> tape;
    const TapeScope<float> scope(tape);
    tape.backward(
        channel_distance(unit_channels(channel_affine(x, w, w)), Var<float>(other), weight));
    return x.grad();
  }));
}

}  // namespace
}  // namespace rae
