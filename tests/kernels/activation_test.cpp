#include "rae/kernels/activation.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "rae/core/tensor.hpp"
#include "rae/kernels/isa.hpp"

namespace rae {
namespace {

double exact(Activation f, double x) {
  switch (f) {
    case Activation::gelu: return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Activation::gelu_tanh: return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::silu: return x / (1 + std::exp(-x));
    default: return x;
  }
}

class Activations : public testing::TestWithParam<Activation> {};

TEST_P(Activations, MatchDoubleOnEveryInstructionSet) {
  const Activation f = GetParam();
  Tensor<float> x(Shape{20001}), out(Shape{20001});
  float* values = x.data();
  for (index_t i = 0; i < x.numel(); ++i) values[i] = static_cast<float>(i - 10000) * 1e-3f;
  const Isa before = active_isa();
  for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512}) {
    if (!supports(isa)) continue;
    set_isa(isa);
    activate<float>(f, x, out);
    // 4 ULP of the result, and of 1 where the function's own conditioning loses the digits (its tail towards minus infinity).
    for (index_t i = 0; i < x.numel(); ++i) {
      const double expected = exact(f, static_cast<double>(x.span()[static_cast<std::size_t>(i)]));
      ASSERT_NEAR(out[i], expected, 4 * 0x1p-23 * std::max(1.0, std::abs(expected))) << "at " << x[i] << " on " << name_of(isa);
    }
  }
  set_isa(before);
}

INSTANTIATE_TEST_SUITE_P(All, Activations, testing::Values(Activation::none, Activation::gelu, Activation::gelu_tanh, Activation::silu));

TEST(Activation, ExtremeInputsStayFinite) {
  const Tensor<float> x(Shape{4}, {-1e30f, -200.f, 200.f, 1e30f});
  Tensor<float> out(Shape{4});
  for (const Activation f : {Activation::gelu, Activation::silu}) {
    activate<float>(f, x, out);
    EXPECT_NEAR(out[1], 0.f, 1e-30);
    EXPECT_EQ(out[2], 200.f);
    EXPECT_EQ(out[3], 1e30f);
    EXPECT_FALSE(std::isnan(out[0]));
  }
}

TEST(Swiglu, IsGateTimesUp) {
  const Tensor<float> x(Shape{1, 4}, {1.f, -2.f, 3.f, 5.f});
  Tensor<float> out(Shape{1, 2});
  swiglu<float>(x, out);
  EXPECT_NEAR(out[0], exact(Activation::silu, 1) * 3, 1e-6);
  EXPECT_NEAR(out[1], exact(Activation::silu, -2) * 5, 1e-6);
  Tensor<float> wrong(Shape{1, 3});
  EXPECT_THROW(swiglu<float>(x, wrong), ShapeError);
}

}  // namespace
}  // namespace rae
