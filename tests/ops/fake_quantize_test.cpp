#include "rae/ops/fake_quantize.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "rae/nn/linear.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::random_tensor;

bool same(const Tensor<float>& a, const Tensor<float>& b) {
  return std::ranges::equal(a.span(), b.span());
}

/// The gradients of x and of the weight of a linear layer for the gradient `g` of its result.
struct Gradients {
  Tensor<float> x, weight;  // (M, K), (N, K)
};
Gradients gradients_of(const Tensor<float>& weight, const Tensor<float>& g, DType quantized) {
  Linear<Var<float>> layer(weight.extent(1), weight.extent(0), false);
  layer.weight.set(weight);
  layer.weight.quantize_as(quantized);
  Var<float> x(random_tensor<float>({4, weight.extent(1)}, 7), true);  // (M, K)
  Tape<float> tape;
  const TapeScope<float> scope(tape);
  const Var<float> y = layer(x);  // (M, N)
  tape.backward(y, g);
  return {x.grad(), layer.weight.value.grad()};
}

TEST(FakeQuantize, GradientsPassAsIfNothingWereRounded) {
  const Tensor<float> w = random_tensor<float>({6, 40}, 1), g = random_tensor<float>({4, 6}, 2);
  for (const DType stored : {DType::int8w, DType::int4}) {
    const Tensor<float> r = fake_quantize(w, stored);  // (N, K)
    const Gradients rounded = gradients_of(w, g, stored), plain = gradients_of(r, g, DType::f32);
    // dX = G W has the rounded weights; dW = G^T X arrives at the weight that is not rounded.
    EXPECT_TRUE(same(rounded.x, plain.x));
    EXPECT_TRUE(same(rounded.weight, plain.weight));
  }
}

TEST(FakeQuantize, ALayerInTrainingComputesWithTheRoundedWeight) {
  const Tensor<float> w = random_tensor<float>({6, 40}, 1);  // (N, K)
  const Tensor<float> x = random_tensor<float>({4, 40}, 2);  // (M, K)
  const auto result = [&](const Tensor<float>& weight, DType quantized) {
    Linear<Var<float>> layer(40, 6, false);
    layer.weight.set(weight);
    layer.weight.quantize_as(quantized);
    return layer(Var<float>(x)).value();  // (M, N)
  };
  for (const DType stored : {DType::int8w, DType::int4})
    EXPECT_TRUE(same(result(w, stored), result(fake_quantize(w, stored), DType::f32)));
  // The types without groups leave the weight as it is.
  for (const DType stored : {DType::f32, DType::bf16, DType::int8})
    EXPECT_TRUE(same(result(w, stored), result(w, DType::f32)));
}

TEST(FakeQuantize, OnlyWeightsOfProductsAreRounded) {
  Parameter<Var<float>> table(Shape{4, 8});  // (4, 8)
  table.set(random_tensor<float>({4, 8}, 1));
  table.quantize_as(DType::int4);
  EXPECT_TRUE(same(table.operand().value(), table.tensor()));
}

}  // namespace
}  // namespace rae
