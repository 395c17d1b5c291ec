#include "rae/kernels/conv.hpp"

#include "rae/kernels/isa.hpp"
#include "rae/kernels/reference/conv.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::random_tensor;

struct Case {
  index_t batch, in, out, height, width;
  Window window;
  Shape x() const { return {batch, in, height, width}; }
  Shape weight() const { return {out, in, window.height, window.width}; }
  Shape y() const { return {batch, out, window.out_h(height), window.out_w(width)}; }
};
constexpr Case kCases[] = {
    {1, 1, 1, 1, 1, {}},
    {2, 3, 5, 4, 6, {3, 3, 1, 1, 1}},
    {3, 2, 50, 7, 5, {5, 5, 1, 2, 2}},
    {1, 17, 3, 28, 28, {3, 3, 1, 1, 1}},
    {9, 4, 4, 3, 2, {1, 1}},
    {2, 1, 2, 2, 2, {5, 5, 1, 2, 2}},
    {2, 3, 5, 9, 9, {3, 3, 2, 0, 0}},
    {3, 4, 50, 7, 8, {1, 7, 1, 0, 3}},
    {1, 17, 3, 13, 6, {7, 1, 1, 3, 0}},
    {2, 5, 6, 17, 17, {5, 5, 1, 2, 2}},
    {1, 2, 3, 6, 7, {3, 2, 3, 1, 1}},
    {5, 6, 20, 8, 8, {3, 3, 2, 1, 1}},   // several pictures in a panel
    {2, 3, 4, 12, 10, {4, 4, 2, 1, 1}},  // an even window
    {2, 3, 4, 9, 11, {2, 2, 3, 0, 0}},   // pixels that no window reads
    {1, 2, 3, 5, 6, {3, 3, 1, 3, 2}},    // outputs of padding alone
    {3, 2, 3, 40, 50, {3, 3, 1, 1, 1}},  // several blocks of rows
    {40, 3, 9, 4, 4, {3, 3, 1, 1, 1}},   // several partial sums of the weight's gradient
};

std::string description(const Case& c) {
  return concat(c.x(), " * ", c.weight(), " stride ", c.window.stride);
}

template <class T>
void compare_with_reference(const Case& c, double tolerance) {
  // (B, C, H, W), (O, C, kh, kw), (O), (B, O, h, w)
  const Tensor<T> x = random_tensor<T>(c.x(), 1), weight = random_tensor<T>(c.weight(), 2),
                  bias = random_tensor<T>({c.out}, 3), dout = random_tensor<T>(c.y(), 4);
  Tensor<T> out(c.y()), expected(c.y());  // (B, O, h, w) each
  conv2d<T>(x, weight, bias, c.window, out);
  reference::conv2d<T>(x, weight, bias, c.window, expected);
  EXPECT_TRUE(close(out, expected, tolerance)) << description(c);
  conv2d<T>(x, weight, {}, c.window, out);
  reference::conv2d<T>(x, weight, {}, c.window, expected);
  EXPECT_TRUE(close(out, expected, tolerance)) << description(c);

  // (B, C, H, W), (O, C, kh, kw), (O)
  Tensor<T> dx(c.x(), T(7)), dweight(c.weight(), T(1)), dbias({c.out}, T(2));
  Tensor<T> expected_dx(c.x(), T(0)), expected_dweight(c.weight(), T(1)),
      expected_dbias({c.out}, T(2));  // (B, C, H, W), (O, C, kh, kw), (O)
  conv2d_backward_input<T>(dout, weight, c.window, dx);
  conv2d_backward_weight<T>(x, dout, c.window, dweight, dbias);
  reference::conv2d_backward<T>(x, weight, c.window, dout, expected_dx, expected_dweight,
                                expected_dbias);
  EXPECT_TRUE(close(dx, expected_dx, tolerance)) << description(c);
  EXPECT_TRUE(close(dweight, expected_dweight, 10 * tolerance)) << description(c);
  EXPECT_TRUE(close(dbias, expected_dbias, 10 * tolerance)) << description(c);
}

// The tolerances allow for the rounding of sums of at most 850 products of normal numbers, and of
// 6,000 for the gradients of weights.
TEST(Conv2d, AgreesWithReferenceOnEveryInstructionSet) {
  test::on_every_isa([](Isa) {
    for (const Case& c : kCases) {
      compare_with_reference<float>(c, 2e-4);
      compare_with_reference<double>(c, 1e-12);
    }
  });
}

TEST(Conv2d, ThreadCountDoesNotChangeABit) {
  for (const Case& c : {Case{21, 3, 6, 9, 10, {3, 3, 1, 1, 1}},
                        {5, 3, 6, 19, 20, {3, 3, 2, 1, 1}},
                        {1, 2, 4, 60, 50, {5, 5, 1, 2, 2}}}) {
    // (B, C, H, W), (O, C, kh, kw), (B, O, h, w)
    const Tensor<float> x = random_tensor<float>(c.x(), 1),
                        weight = random_tensor<float>(c.weight(), 2),
                        dout = random_tensor<float>(c.y(), 4);
    EXPECT_TRUE(test::same_on_every_thread_count([&] {
      Tensor<float> out(c.y());  // (B, O, h, w)
      conv2d<float>(x, weight, {}, c.window, out);
      return out;
    })) << description(c);
    EXPECT_TRUE(test::same_on_every_thread_count([&] {
      Tensor<float> dx(c.x());  // (B, C, H, W)
      conv2d_backward_input<float>(dout, weight, c.window, dx);
      return dx;
    })) << description(c);
    EXPECT_TRUE(test::same_on_every_thread_count([&] {
      Tensor<float> dweight(c.weight(), 0.0f);  // (O, C, kh, kw)
      conv2d_backward_weight<float>(x, dout, c.window, dweight, {});
      return dweight;
    })) << description(c);
  }
}

TEST(Conv2d, APictureDoesNotDependOnTheOthers) {
  const Case all{7, 5, 6, 4, 4, {3, 3, 1, 1, 1}}, one{1, 5, 6, 4, 4, {3, 3, 1, 1, 1}};
  const Tensor<float> x = random_tensor<float>(all.x(), 1),
                      weight = random_tensor<float>(all.weight(), 2);  // (7, 5, 4, 4), (6, 5, 3, 3)
  Tensor<float> out(all.y()), alone(one.y());                          // (7, 6, 4, 4), (1, 6, 4, 4)
  conv2d<float>(x, weight, {}, all.window, out);
  conv2d<float>(Tensor<float>(one.x(), x.span().subspan(5 * 80, 80)), weight, {}, one.window,
                alone);
  EXPECT_TRUE(close(alone, Tensor<float>(one.y(), out.span().subspan(5 * 96, 96)), 0.0));
}

TEST(Conv2d, RejectsShapes) {
  // (2, 3, 4, 4), (5, 3, 2, 2), (5, 4, 3, 3), (5, 3, 3, 3), (4)
  const Tensor<float> x(Shape{2, 3, 4, 4}, 1.0f), other(Shape{5, 3, 2, 2}, 1.0f),
      deeper(Shape{5, 4, 3, 3}, 1.0f), good(Shape{5, 3, 3, 3}, 1.0f), bias(Shape{4}, 1.0f);
  Tensor<float> out(Shape{2, 5, 4, 4}, 9.0f), dx(Shape{2, 3, 4, 5}, 9.0f),
      dweight(Shape{5, 3, 3, 1}, 9.0f);  // (2, 5, 4, 4), (2, 3, 4, 5), (5, 3, 3, 1)
  const Window same{3, 3, 1, 1, 1};
  EXPECT_THROW(conv2d<float>(x, other, {}, same, out), ShapeError);
  EXPECT_THROW(conv2d<float>(x, deeper, {}, same, out), ShapeError);
  EXPECT_THROW(conv2d<float>(x, good, bias, same, out), ShapeError);
  EXPECT_THROW(conv2d<float>(x.view().transposed(), good, {}, same, out), ShapeError);
  EXPECT_THROW(conv2d<float>(x, good, {}, {3, 3}, out), ShapeError);
  EXPECT_THROW(conv2d<float>(x, good, {}, {3, 1}, out), ShapeError);
  EXPECT_THROW(conv2d<float>(x, good, {}, {3, 3, 0, 1, 1}, out), ShapeError);
  EXPECT_THROW(conv2d<float>(x, good, {}, {7, 7}, out), ShapeError);
  EXPECT_THROW(conv2d_backward_input<float>(out, good, same, dx), ShapeError);
  EXPECT_THROW(conv2d_backward_weight<float>(x, out, same, dweight, {}), ShapeError);
  EXPECT_EQ(out[0], 9.0f);
}

}  // namespace
}  // namespace rae
