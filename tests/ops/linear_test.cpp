#include "rae/ops/linear.hpp"

#include <gtest/gtest.h>

#include "rae/kernels/reference/gemm.hpp"
#include "support/gradients.hpp"

namespace rae {
namespace {

using test::expect_gradients;
using test::Inputs;
using test::random_tensor;

TEST(LinearOps, Gradients) {
  expect_gradients([](Inputs in) { return linear(in[0], in[1], in[2]); }, {{2, 3, 5}, {7, 5}, {7}});
  expect_gradients([](Inputs in) { return linear(in[0], in[1], Var<double>()); }, {{4, 5}, {3, 5}});
  expect_gradients([](Inputs in) { return linear(in[0], in[1], in[2], Activation::gelu); },
                   {{4, 5}, {3, 5}, {3}});
  expect_gradients(
      [](Inputs in) { return linear(in[0], in[1], in[2], Activation::swiglu, Residual{in[3]}); },
      {{4, 5}, {6, 5}, {6}, {4, 3}});
}

// The norm is computed while the product reads its input, and SwiGLU while it writes its output. x
// is also the residual.
TEST(LinearOps, GradientsBetweenNormAndSwiglu) {
  for (const bool gated : {false, true})
    expect_gradients(
        [gated](Inputs in) {
          const NormParameters<Var<double>> norm{NormKind::layer, 1e-6, in[3], in[4]};
          return linear(normalize(norm, in[0]), in[1], in[2],
                        gated ? Activation::swiglu : Activation::none, Residual{in[0]});
        },
        {{3, 4, 5}, gated ? Shape{10, 5} : Shape{5, 5}, gated ? Shape{10} : Shape{5}, {5}, {5}});
}

// The operands of all three products of a linear layer are rounded; everything else stays in f32.
TEST(LinearOps, MultipliesInBf16) {
  const auto random = [](const Shape& shape, std::uint64_t stream) {
    return random_tensor<float>(shape, stream);
  };
  const Var<float> x(random({2, 3, 5}, 1), true), weight(random({7, 5}, 2), true),
      bias(random({7}, 3), true);
  const Tensor<float> g = random({6, 7}, 4);  // (6, 7)
  Tape<float> tape;
  const TapeScope<float> scope(tape);
  const Var<float> out = linear(x, weight, bias, Activation::none, {}, DType::bf16);
  tape.backward(out, g.reshaped(out.shape()));
  Tensor<float> y(Shape{6, 7}), dx(Shape{6, 5}), dweight(Shape{7, 5});  // (6, 7), (6, 5), (7, 5)
  const View<const float> rows(x.value().data(), {6, 5});
  reference::gemm_bf16(rows, weight.value().view().transposed(), y);
  reference::gemm_bf16(g, weight.value(), dx);
  reference::gemm_bf16(g.view().transposed(), rows, dweight);
  for (index_t i = 0; i < y.numel(); ++i)
    EXPECT_FLOAT_EQ(out.value()[i], y[i] + bias.value()[i % 7]);
  for (index_t i = 0; i < dx.numel(); ++i)
    EXPECT_FLOAT_EQ(std::as_const(x).grad()[i], dx[i]);  // AMX sums in another order
  for (index_t i = 0; i < dweight.numel(); ++i)
    EXPECT_EQ(std::as_const(weight).grad()[i], dweight[i]);
  EXPECT_THROW((void)linear(x, weight, bias, Activation::none, {}, DType::int8), ArgumentError);
}

}  // namespace
}  // namespace rae
