#include "rae/kernels/window.hpp"

#include "rae/kernels/isa.hpp"
#include "rae/kernels/reference/window.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::random_tensor;

struct Case {
  index_t batch, in, out, rows, columns;
  Window window;
  Shape x() const { return {batch, in, rows, columns}; }
  Shape weight() const { return {out, in, window.height, window.width}; }
  Shape y(index_t channels) const {
    return {batch, channels, window.out_h(rows), window.out_w(columns)};
  }
};
constexpr Case kCases[] = {{1, 1, 1, 1, 1, {}},
                           {2, 3, 5, 9, 9, {3, 3, 2, 0, 0}},
                           {3, 4, 50, 7, 8, {1, 7, 1, 0, 3}},
                           {1, 17, 3, 13, 6, {7, 1, 1, 3, 0}},
                           {2, 5, 6, 17, 17, {5, 5, 1, 2, 2}},
                           {2, 5, 6, 5, 4, {1, 1, 1, 0, 0}},
                           {1, 2, 3, 6, 7, {3, 2, 3, 1, 1}}};

template <class T>
void compare_with_reference(const Case& c, double tolerance) {
  const Tensor<T> x = random_tensor<T>(c.x(), 1), weight = random_tensor<T>(c.weight(), 2),
                  bias = random_tensor<T>({c.out}, 3);  // (B, C, H, W), (O, C, kh, kw), (O)
  Tensor<T> out(c.y(c.out)), expected(c.y(c.out));      // (B, O, H', W') each
  conv2d<T>(x, weight, bias, c.window, out);
  reference::conv2d<T>(x, weight, bias, c.window, expected);
  EXPECT_TRUE(close(out, expected, tolerance));
  conv2d<T>(x, weight, {}, c.window, out);
  reference::conv2d<T>(x, weight, {}, c.window, expected);
  EXPECT_TRUE(close(out, expected, tolerance));
  if (2 * c.window.pad_h > c.window.height || 2 * c.window.pad_w > c.window.width) return;
  Tensor<T> largest(c.y(c.in)), mean(c.y(c.in)), expected_largest(c.y(c.in)),
      expected_mean(c.y(c.in));  // (B, C, H', W') each
  max_pool2d<T>(x, c.window, largest);
  avg_pool2d<T>(x, c.window, mean);
  reference::pool2d<T>(x, c.window, expected_largest, expected_mean);
  EXPECT_TRUE(close(largest, expected_largest, 0));
  EXPECT_TRUE(close(mean, expected_mean, 0));
}

// The tolerances allow for the rounding of sums of at most 125 products of normal numbers.
TEST(Window, AgreesWithReferenceOnEveryInstructionSet) {
  test::on_every_isa([](Isa) {
    for (const Case& c : kCases) {
      compare_with_reference<float>(c, 5e-5);
      compare_with_reference<double>(c, 1e-13);
    }
  });
}

TEST(Window, ThreadCountDoesNotChangeABit) {
  const Case c{5, 3, 6, 19, 20, {3, 3, 2, 1, 1}};
  const Tensor<float> x = random_tensor<float>(c.x(), 1),
                      weight = random_tensor<float>(c.weight(), 2);  // (B, C, H, W), (O, C, kh, kw)
  Tensor<float> one(c.y(6)), three(c.y(6));                          // (B, C, H', W') each
  set_num_threads(1);
  conv2d<float>(x, weight, {}, c.window, one);
  set_num_threads(3);
  conv2d<float>(x, weight, {}, c.window, three);
  set_num_threads(0);
  EXPECT_TRUE(close(one, three, 0));
}

TEST(Window, RejectsMismatchedShapes) {
  // (1, 2, 5, 5), (3, 2, 3, 3)
  const Tensor<float> x(Shape{1, 2, 5, 5}, 0.0f), weight(Shape{3, 2, 3, 3}, 0.0f);
  Tensor<float> out(Shape{1, 3, 3, 3}), pooled(Shape{1, 2, 3, 3});  // (1, 3, 3, 3), (1, 2, 3, 3)
  EXPECT_NO_THROW(conv2d<float>(x, weight, {}, {3, 3}, out));
  EXPECT_NO_THROW(max_pool2d<float>(x, {3, 3}, pooled));
  EXPECT_THROW(conv2d<float>(x, weight, {}, {3, 1}, out), ShapeError);
  EXPECT_THROW(conv2d<float>(x, weight, {}, {3, 3, 2}, out), ShapeError);
  EXPECT_THROW(conv2d<float>(x, weight, {}, {3, 3, 0}, out), ShapeError);
  EXPECT_THROW(conv2d<float>(x, weight, {}, {7, 7}, out), ShapeError);
  EXPECT_THROW(conv2d<float>(x, weight, x, {3, 3}, out), ShapeError);
  EXPECT_THROW(max_pool2d<float>(x, {3, 3, 2}, pooled), ShapeError);
  EXPECT_THROW(avg_pool2d<float>(x, {3, 3, 1, 2, 2}, pooled), ShapeError);
}

}  // namespace
}  // namespace rae
