#include "rae/ops/loss.hpp"

#include <gtest/gtest.h>

#include "rae/ops/elementwise.hpp"
#include "support/gradients.hpp"

namespace rae {
namespace {

using test::expect_gradients;
using test::Inputs;
using test::random_tensor;

TEST(LossOps, Gradients) {
  const Tensor<double> target = random_tensor<double>({4, 3}, 9);  // (4, 3)
  const std::vector<std::int64_t> labels = {2, 0, 1, 1};
  expect_gradients([&](Inputs in) { return mse_loss(in[0], target); }, {{4, 3}});
  expect_gradients([&](Inputs in) { return l1_loss(in[0], target); }, {{4, 3}});
  expect_gradients([&](Inputs in) { return cross_entropy_loss(in[0], labels); }, {{4, 3}});
  expect_gradients([&](Inputs in) { return cross_entropy_loss(in[0], labels, 0.2); }, {{4, 3}});
  expect_gradients([&](Inputs in) { return soft_cross_entropy_loss(in[0], target); }, {{4, 3}});
  expect_gradients([](Inputs in) { return scale(mean(in[0]), 3.0); }, {{4, 3}});
  EXPECT_THROW(mean(Var<double>()), ShapeError);
  const auto half_square = [](Inputs in) {
    double sum = 0;
    for (const double x : in[0].value().span()) sum += x * x / 2;
    return scale(known_loss(sum, in[0].value(), in[0]), 3.0);
  };
  expect_gradients(half_square, {{4, 3}});
  EXPECT_THROW(known_loss(1.0, target, Var<double>(random_tensor<double>({3}, 1))), ShapeError);
}

}  // namespace
}  // namespace rae
