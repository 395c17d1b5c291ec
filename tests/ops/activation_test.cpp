#include "rae/ops/activation.hpp"

#include <gtest/gtest.h>

#include "support/gradients.hpp"

namespace rae {
namespace {

using test::expect_gradients;
using test::Inputs;

TEST(ActivationOps, Gradients) {
  for (const Activation f :
       {Activation::none, Activation::gelu, Activation::gelu_tanh, Activation::silu})
    expect_gradients([f](Inputs in) { return activate(in[0], f); }, {{5, 7}});
  expect_gradients([](Inputs in) { return swiglu(in[0]); }, {{3, 2, 10}});
  expect_gradients([](Inputs in) { return softmax(in[0]); }, {{3, 2, 10}});
}

TEST(ActivationOps, LeakyRelu) {
  for (const double slope : {0.0, 0.2})
    expect_gradients([slope](Inputs in) { return leaky_relu(in[0], slope); }, {{3, 17}});
}

}  // namespace
}  // namespace rae
