#include "rae/kernels/leaky_relu.hpp"

#include <gtest/gtest.h>

#include "support/kernel_data.hpp"

namespace rae {
namespace {

TEST(LeakyRelu, ScalesNonPositiveNumbers) {
  const Tensor<float> x(Shape{5}, {-3.f, -0.f, 0.f, 0.5f, 1e30f}),
      dout(Shape{5}, {1.f, 2.f, 3.f, 4.f, 5.f});  // (5) each
  Tensor<float> out(x.shape()), dx(x.shape());    // (5) each
  leaky_relu<float>(x, 0.25f, out);
  leaky_relu_backward<float>(x, 0.25f, dout, dx);
  const Tensor<float> expected(Shape{5}, {-0.75f, 0.f, 0.f, 0.5f, 1e30f}),
      expected_dx(Shape{5}, {0.25f, 0.5f, 0.75f, 4.f, 5.f});  // (5) each
  for (index_t i = 0; i < 5; ++i) {
    EXPECT_EQ(out[i], expected[i]) << i;
    EXPECT_EQ(dx[i], expected_dx[i]) << i;
  }
  Tensor<float> wrong(Shape{4});  // (4)
  EXPECT_THROW(leaky_relu<float>(x, 0.f, wrong), ShapeError);
  EXPECT_THROW(leaky_relu_backward<float>(x, 0.f, dout, wrong), ShapeError);
}

TEST(LeakyRelu, ThreadCountDoesNotChangeABit) {
  const Tensor<double> x = test::random_tensor<double>({70001}, 1),
                       dout = test::random_tensor<double>({70001}, 2);  // (70001) each
  EXPECT_TRUE(test::same_on_every_thread_count([&] {
    Tensor<double> out(x.shape());  // (70001)
    leaky_relu<double>(x, 0.2, out);
    leaky_relu_backward<double>(out, 0.2, dout, out);
    return out;
  }));
}

}  // namespace
}  // namespace rae
