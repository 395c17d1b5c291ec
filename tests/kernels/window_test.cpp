#include "rae/kernels/window.hpp"

#include "rae/kernels/reference/window.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::random_tensor;

struct Case {
  index_t batch, channels, rows, columns;
  Window window;
  Shape x() const { return {batch, channels, rows, columns}; }
  Shape y() const { return {batch, channels, window.out_h(rows), window.out_w(columns)}; }
};
constexpr Case kCases[] = {
    {1, 1, 1, 1, {}},          {1, 1, 2, 2, {2, 2, 2}},       {2, 3, 5, 7, {2, 2, 2}},
    {3, 2, 28, 28, {2, 2, 2}}, {2, 3, 9, 9, {3, 3, 2, 0, 0}}, {2, 5, 17, 17, {5, 5, 1, 2, 2}},
    {2, 4, 6, 5, {6, 5}},      {1, 2, 6, 7, {3, 2, 3, 1, 1}}};

template <class T>
void compare_with_reference(const Case& c, double tolerance) {
  // (B, C, H, W), (B, C, h, w)
  const Tensor<T> x = random_tensor<T>(c.x(), 1), dout = random_tensor<T>(c.y(), 2);
  Tensor<T> largest(c.y()), mean(c.y()), expected_largest(c.y()),
      expected_mean(c.y());  // (B, C, h, w) each
  Tensor<T> largest_dx(c.x(), T(3)), mean_dx(c.x(), T(3)), expected_largest_dx(c.x(), T(0)),
      expected_mean_dx(c.x(), T(0));  // (B, C, H, W) each
  max_pool2d<T>(x, c.window, largest);
  avg_pool2d<T>(x, c.window, mean);
  max_pool2d_backward<T>(x, dout, c.window, largest_dx);
  avg_pool2d_backward<T>(dout, c.window, mean_dx);
  reference::pool2d<T>(x, c.window, expected_largest, expected_mean, dout, expected_largest_dx,
                       expected_mean_dx);
  EXPECT_TRUE(close(largest, expected_largest, 0));
  EXPECT_TRUE(close(mean, expected_mean, 0));
  EXPECT_TRUE(close(largest_dx, expected_largest_dx, tolerance));
  EXPECT_TRUE(close(mean_dx, expected_mean_dx, tolerance));
}

TEST(Window, AgreesWithReference) {
  for (const Case& c : kCases) {
    compare_with_reference<float>(c, 1e-6);
    compare_with_reference<double>(c, 1e-14);
  }
}

TEST(Window, TheFirstOfEqualElementsReceivesTheGradient) {
  const Tensor<float> x(Shape{1, 1, 2, 4}, {0, 3, 1, 1, 3, 2, 1, 1}),
      dout(Shape{1, 1, 1, 2}, {5, 7});  // (1, 1, 2, 4), (1, 1, 1, 2)
  Tensor<float> dx(x.shape());          // (1, 1, 2, 4)
  max_pool2d_backward<float>(x, dout, {2, 2, 2}, dx);
  EXPECT_TRUE(close(dx, Tensor<float>(x.shape(), {0, 5, 7, 0, 0, 0, 0, 0}), 0.0));
}

TEST(Window, ThreadCountDoesNotChangeABit) {
  const Case c{50, 30, 19, 20, {3, 3, 2, 1, 1}};
  const Tensor<float> x = random_tensor<float>(c.x(), 1),
                      dout = random_tensor<float>(c.y(), 2);  // (B, C, H, W), (B, C, h, w)
  EXPECT_TRUE(test::same_on_every_thread_count([&] {
    Tensor<float> dx(c.x());  // (B, C, H, W)
    max_pool2d_backward<float>(x, dout, c.window, dx);
    return dx;
  }));
  EXPECT_TRUE(test::same_on_every_thread_count([&] {
    Tensor<float> out(c.y());  // (B, C, h, w)
    avg_pool2d<float>(x, c.window, out);
    return out;
  }));
}

TEST(Window, RejectsMismatchedShapes) {
  const Tensor<float> x(Shape{1, 2, 5, 5}, 0.0f);                              // (1, 2, 5, 5)
  Tensor<float> pooled(Shape{1, 2, 3, 3}, 9.0f), dx(Shape{1, 2, 5, 6}, 9.0f);  // as named
  EXPECT_NO_THROW(max_pool2d<float>(x, {3, 3}, pooled));
  EXPECT_THROW(max_pool2d<float>(x, {3, 3, 2}, pooled), ShapeError);
  EXPECT_THROW(max_pool2d<float>(x, {7, 7}, pooled), ShapeError);
  EXPECT_THROW(avg_pool2d<float>(x, {3, 3, 1, 2, 2}, pooled), ShapeError);
  EXPECT_THROW(max_pool2d_backward<float>(x, pooled, {3, 3}, dx), ShapeError);
  EXPECT_THROW(avg_pool2d_backward<float>(pooled, {3, 3}, dx), ShapeError);
  EXPECT_EQ(dx[0], 9.0f);
}

}  // namespace
}  // namespace rae
