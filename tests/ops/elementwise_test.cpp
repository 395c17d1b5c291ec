#include "rae/ops/elementwise.hpp"

#include <gtest/gtest.h>

#include "support/gradients.hpp"

namespace rae {
namespace {

using test::expect_gradients;
using test::Inputs;

TEST(ElementwiseOps, Gradients) {
  expect_gradients([](Inputs in) { return add(in[0], in[1]); }, {{2, 3}, {2, 3}});
  expect_gradients([](Inputs in) { return add(in[0], in[0]); }, {{2, 3}});
  expect_gradients([](Inputs in) { return add_broadcast(in[0], in[1]); }, {{4, 3, 5}, {1, 3, 5}});
  expect_gradients([](Inputs in) { return add_per_image(in[0], in[1]); }, {{4, 3, 5}, {4, 5}});
  expect_gradients([](Inputs in) { return scale(in[0], -1.7); }, {{4}});
}

}  // namespace
}  // namespace rae
