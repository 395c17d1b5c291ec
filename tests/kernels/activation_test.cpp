#include "rae/kernels/activation.hpp"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "rae/kernels/reference/activation.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

class Activations : public testing::TestWithParam<Activation> {};

TEST_P(Activations, MatchDoubleOnEveryInstructionSet) {
  const Activation f = GetParam();
  Tensor<float> x(Shape{20001}), out(Shape{20001});  // (20001) each
  float* values = x.data();
  for (index_t i = 0; i < x.numel(); ++i) values[i] = static_cast<float>(i - 10000) * 1e-3f;
  test::on_every_isa([&](Isa isa) {
    activate<float>(f, x, out);
    // 4 ULP of the result or, where the function loses digits because it is badly conditioned (in
    // its tail towards minus infinity), 4 ULP of 1.
    for (index_t i = 0; i < x.numel(); ++i) {
      const double expected =
          reference::activation(f, static_cast<double>(x.span()[static_cast<std::size_t>(i)]));
      ASSERT_NEAR(out[i], expected, 4 * 0x1p-23 * std::max(1.0, std::abs(expected)))
          << "at " << x[i] << " on " << name_of(isa);
    }
  });
}

template <class T>
void compare_slopes(Activation f, double tolerance) {
  // (3, 41) each
  const Tensor<T> x = test::random_tensor<T>({3, 41}, 1), dout = test::random_tensor<T>({3, 41}, 2);
  Tensor<T> dx(x.shape());  // (3, 41)
  activate_backward<T>(f, x, dout, dx);
  for (index_t i = 0; i < x.numel(); ++i)
    ASSERT_NEAR(
        dx[i],
        static_cast<double>(dout[i]) * reference::activation_slope(f, static_cast<double>(x[i])),
        tolerance)
        << x[i];
}

TEST_P(Activations, BackwardMatchesDoubleOnEveryInstructionSet) {
  test::on_every_isa([&](Isa isa) {
    SCOPED_TRACE(name_of(isa));
    compare_slopes<float>(GetParam(), 3e-6);
    compare_slopes<double>(GetParam(), 1e-14);
  });
}

// The range of a thread may begin anywhere, so the remainders of vectorised loops must compute the
// same as the vectors.
TEST_P(Activations, ThreadCountDoesNotChangeABit) {
  const Tensor<float> x = test::random_tensor<float>({70001}, 1),
                      dout = test::random_tensor<float>({70001}, 2);  // (70001) each
  test::on_every_isa([&](Isa isa) {
    for (const bool backward : {false, true})
      EXPECT_TRUE(test::same_on_every_thread_count([&] {
        Tensor<float> out(x.shape());  // (70001)
        if (backward)
          activate_backward<float>(GetParam(), x, dout, out);
        else
          activate<float>(GetParam(), x, out);
        return out;
      })) << name_of(isa);
  });
}

INSTANTIATE_TEST_SUITE_P(All, Activations,
                         testing::Values(Activation::none, Activation::gelu, Activation::gelu_tanh,
                                         Activation::silu));

TEST(Activation, ExtremeInputsStayFinite) {
  const Tensor<float> x(Shape{4}, {-1e30f, -200.f, 200.f, 1e30f});  // (4)
  Tensor<float> out(Shape{4});                                      // (4)
  for (const Activation f : {Activation::gelu, Activation::silu}) {
    activate<float>(f, x, out);
    EXPECT_NEAR(out[1], 0.f, 1e-30);
    EXPECT_EQ(out[2], 200.f);
    EXPECT_EQ(out[3], 1e30f);
    EXPECT_FALSE(std::isnan(out[0]));
  }
}

template <class T>
void compare_swiglu(index_t rows, index_t width, double tolerance) {
  const Tensor<T> x = test::random_tensor<T>({rows, 2 * width}, 1),
                  dout = test::random_tensor<T>({rows, width}, 2);  // (R, 2D), (R, D)
  // (R, D), (R, D), (R, 2D), (R, 2D)
  Tensor<T> out(dout.shape()), expected(dout.shape()), dx(x.shape()), expected_dx(x.shape());
  swiglu<T>(x, out);
  reference::swiglu<T>(x, expected);
  EXPECT_TRUE(test::close(out, expected, tolerance));
  swiglu_backward<T>(x, dout, dx);
  reference::swiglu_backward<T>(x, dout, expected_dx);
  EXPECT_TRUE(test::close(dx, expected_dx, tolerance));
}

TEST(Swiglu, AgreesWithReferenceOnEveryInstructionSet) {
  test::on_every_isa([](Isa isa) {
    for (const auto& [rows, width] :
         {std::pair<index_t, index_t>{1, 1}, {3, 7}, {5, 48}, {2, 5461}}) {
      SCOPED_TRACE(concat(name_of(isa), ", ", rows, " x ", width));
      compare_swiglu<float>(rows, width, 1e-5);
      compare_swiglu<double>(rows, width, 1e-13);
    }
  });
}

TEST(Swiglu, ThreadCountDoesNotChangeABit) {
  const Tensor<float> x = test::random_tensor<float>({300, 2 * 131}, 1),
                      dout = test::random_tensor<float>({300, 131}, 2);  // (300, 262), (300, 131)
  EXPECT_TRUE(test::same_on_every_thread_count([&] {
    Tensor<float> out(dout.shape());  // (300, 131)
    swiglu<float>(x, out);
    return out;
  }));
  EXPECT_TRUE(test::same_on_every_thread_count([&] {
    Tensor<float> dx(x.shape());  // (300, 262)
    swiglu_backward<float>(x, dout, dx);
    return dx;
  }));
}

TEST(Swiglu, IsGateTimesUp) {
  const Tensor<float> x(Shape{1, 4}, {1.f, -2.f, 3.f, 5.f});  // (1, 4)
  Tensor<float> out(Shape{1, 2});                             // (1, 2)
  swiglu<float>(x, out);
  EXPECT_NEAR(out[0], reference::activation(Activation::silu, 1) * 3, 1e-6);
  EXPECT_NEAR(out[1], reference::activation(Activation::silu, -2) * 5, 1e-6);
  Tensor<float> wrong(Shape{1, 3});  // (1, 3)
  EXPECT_THROW(swiglu<float>(x, wrong), ShapeError);
}

}  // namespace
}  // namespace rae
