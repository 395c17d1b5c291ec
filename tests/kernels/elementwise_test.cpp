#include "rae/kernels/elementwise.hpp"

#include <gtest/gtest.h>

#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::random_tensor;

template <class T>
void compare(index_t rows, index_t width, double tolerance) {
  const Tensor<T> x = random_tensor<T>({rows, width}, 1), y = random_tensor<T>({rows, width}, 2),
                  row = random_tensor<T>({width}, 3);  // (R, D), (R, D), (D)
  // (R, D), (R, D), (R, D), (D), (R, D), (D)
  Tensor<T> sum(x.shape()), product(x.shape()), shifted(x.shape()), columns(Shape{width}, T(1)),
      expected(x.shape()), expected_columns(Shape{width});
  axpby<T>(T(2), x, T(-0.5), y, sum);
  multiply<T>(x, y, product);
  add_row<T>(x, row, shifted);
  add_column_sums<T>(x, columns);
  for (index_t i = 0; i < x.numel(); ++i) {
    EXPECT_NEAR(sum[i], 2 * static_cast<double>(x[i]) - 0.5 * static_cast<double>(y[i]), tolerance);
    EXPECT_NEAR(product[i], static_cast<double>(x[i]) * static_cast<double>(y[i]), tolerance);
    EXPECT_NEAR(shifted[i], static_cast<double>(x[i]) + static_cast<double>(row[i % width]),
                tolerance);
  }
  for (index_t i = 0; i < width; ++i) {
    double total = 1;
    for (index_t r = 0; r < rows; ++r) total += static_cast<double>(x[r * width + i]);
    EXPECT_NEAR(columns[i], total, tolerance * static_cast<double>(rows));
  }
  Tensor<T> in_place = x;  // (R, D)
  axpby<T>(T(2), std::as_const(in_place).view(), T(-0.5), y, in_place);
  EXPECT_TRUE(close(in_place, sum, 0.0));
}

TEST(Elementwise, AgreesWithPlainLoops) {
  for (const auto& [rows, width] :
       {std::pair<index_t, index_t>{1, 1}, {3, 7}, {65, 17}, {200, 129}}) {
    compare<float>(rows, width, 1e-6);
    compare<double>(rows, width, 1e-15);
  }
}

TEST(Elementwise, ThreadCountDoesNotChangeABit) {
  // (501, 131), (501, 131), (131)
  const Tensor<float> x = random_tensor<float>({501, 131}, 1),
                      y = random_tensor<float>({501, 131}, 2), row = random_tensor<float>({131}, 3);
  for (int part = 0; part < 4; ++part)
    EXPECT_TRUE(test::same_on_every_thread_count([&] {
      Tensor<float> out(part == 3 ? row.shape() : x.shape(), 0.f);  // x's shape, or row's
      if (part == 0) axpby<float>(0.3f, x, 0.7f, y, out);
      if (part == 1) multiply<float>(x, y, out);
      if (part == 2) add_row<float>(x, row, out);
      if (part == 3) add_column_sums<float>(x, out);
      return out;
    }));
}

TEST(Elementwise, RejectsMismatchedArguments) {
  const Tensor<float> x(Shape{2, 3}, 1.f), y(Shape{2, 4}, 1.f);  // (2, 3), (2, 4)
  Tensor<float> out(Shape{2, 3}, 9.f), two(Shape{2}, 9.f);       // (2, 3), (2)
  EXPECT_THROW(axpby<float>(1, x, 1, y, out), ShapeError);
  EXPECT_THROW(multiply<float>(x, y, out), ShapeError);
  EXPECT_THROW(add_row<float>(x, Tensor<float>(Shape{4}, 1.f), out), ShapeError);
  EXPECT_THROW(add_row<float>(x, Tensor<float>(), out), ShapeError);
  EXPECT_THROW(add_column_sums<float>(Tensor<float>(Shape{3}, 1.f), two), ShapeError);
  EXPECT_THROW(multiply<float>(x.view(), y.view().slice(1, 0, 3), out), ShapeError);  // strided
  EXPECT_EQ(out[0], 9.f);
  EXPECT_EQ(two[0], 9.f);
}

}  // namespace
}  // namespace rae
