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
  index_t batch, in, out, height, width, k;
  Shape x() const { return {batch, in, height, width}; }
  Shape weight() const { return {out, in, k, k}; }
  Shape y() const { return {batch, out, height, width}; }
};
constexpr Case kCases[] = {{1, 1, 1, 1, 1, 1},    {2, 3, 5, 4, 6, 3}, {3, 2, 50, 7, 5, 5},
                           {1, 17, 3, 28, 28, 3}, {9, 4, 4, 3, 2, 1}, {2, 1, 2, 2, 2, 5}};

template <class T>
void compare_with_reference(const Case& c, double tolerance) {
  // (B, C, H, W), (O, C, k, k), (O), (B, O, H, W)
  const Tensor<T> x = random_tensor<T>(c.x(), 1), weight = random_tensor<T>(c.weight(), 2),
                  bias = random_tensor<T>({c.out}, 3), dout = random_tensor<T>(c.y(), 4);
  Tensor<T> out(c.y()), expected(c.y());  // (B, O, H, W) each
  conv2d<T>(x, weight, bias, out);
  reference::conv2d<T>(x, weight, bias, expected);
  EXPECT_TRUE(close(out, expected, tolerance));
  conv2d<T>(x, weight, {}, out);
  reference::conv2d<T>(x, weight, {}, expected);
  EXPECT_TRUE(close(out, expected, tolerance));

  // (B, C, H, W), (O, C, k, k), (O)
  Tensor<T> dx(c.x()), dweight(c.weight(), T(1)), dbias({c.out}, T(2));
  Tensor<T> expected_dx(c.x(), T(0)), expected_dweight(c.weight(), T(1)),
      expected_dbias({c.out}, T(2));  // (B, C, H, W), (O, C, k, k), (O)
  conv2d_backward_input<T>(dout, weight, dx);
  conv2d_backward_weight<T>(x, dout, dweight, dbias);
  reference::conv2d_backward<T>(x, weight, dout, expected_dx, expected_dweight, expected_dbias);
  EXPECT_TRUE(close(dx, expected_dx, tolerance));
  EXPECT_TRUE(close(dweight, expected_dweight, tolerance));
  EXPECT_TRUE(close(dbias, expected_dbias, tolerance));
}

// The tolerances allow for the rounding of sums of at most 850 products of normal numbers.
TEST(Conv2d, AgreesWithReferenceOnEveryInstructionSet) {
  for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512, Isa::neon}) {
    if (!supports(isa)) continue;
    const Isa before = active_isa();
    set_isa(isa);
    for (const Case& c : kCases) {
      compare_with_reference<float>(c, 2e-4);
      compare_with_reference<double>(c, 1e-12);
    }
    set_isa(before);
  }
}

TEST(Conv2d, ThreadCountDoesNotChangeABit) {
  const Case c{21, 3, 6, 9, 10, 3};
  // (B, C, H, W), (O, C, k, k), (B, O, H, W)
  const Tensor<float> x = random_tensor<float>(c.x(), 1),
                      weight = random_tensor<float>(c.weight(), 2),
                      dout = random_tensor<float>(c.y(), 4);
  EXPECT_TRUE(test::same_on_every_thread_count([&] {
    Tensor<float> out(c.y());  // (B, O, H, W)
    conv2d<float>(x, weight, {}, out);
    return out;
  }));
  EXPECT_TRUE(test::same_on_every_thread_count([&] {
    Tensor<float> dx(c.x());  // (B, C, H, W)
    conv2d_backward_input<float>(dout, weight, dx);
    return dx;
  }));
  EXPECT_TRUE(test::same_on_every_thread_count([&] {
    Tensor<float> dweight(c.weight(), 0.0f);  // (O, C, k, k)
    conv2d_backward_weight<float>(x, dout, dweight, {});
    return dweight;
  }));
}

TEST(Conv2d, RejectsShapes) {
  // (2, 3, 4, 4), (5, 3, 2, 2), (5, 4, 3, 3), (5, 3, 3, 3), (4)
  const Tensor<float> x(Shape{2, 3, 4, 4}, 1.0f), even(Shape{5, 3, 2, 2}, 1.0f),
      other(Shape{5, 4, 3, 3}, 1.0f), good(Shape{5, 3, 3, 3}, 1.0f), bias(Shape{4}, 1.0f);
  Tensor<float> out(Shape{2, 5, 4, 4}, 9.0f), dx(Shape{2, 3, 4, 5}, 9.0f),
      dweight(Shape{5, 3, 3, 1}, 9.0f);  // (2, 5, 4, 4), (2, 3, 4, 5), (5, 3, 3, 1)
  EXPECT_THROW(conv2d<float>(x, even, {}, out), ShapeError);
  EXPECT_THROW(conv2d<float>(x, other, {}, out), ShapeError);
  EXPECT_THROW(conv2d<float>(x, good, bias, out), ShapeError);
  EXPECT_THROW(conv2d<float>(x.view().transposed(), good, {}, out), ShapeError);
  EXPECT_THROW(conv2d_backward_input<float>(out, good, dx), ShapeError);
  EXPECT_THROW(conv2d_backward_weight<float>(x, out, dweight, {}), ShapeError);
  EXPECT_EQ(out[0], 9.0f);
}

template <class T>
void compare_pool(const Shape& shape) {
  const Tensor<T> x = random_tensor<T>(shape, 5);  // (B, C, H, W)
  const Shape pooled{shape[0], shape[1], shape[2] / 2, shape[3] / 2};
  const Tensor<T> dout = random_tensor<T>(pooled, 6);  // (B, O, H, W)
  // (B, O, H, W), (B, O, H, W), (B, C, H, W), (B, C, H, W)
  Tensor<T> out(pooled), expected(pooled), dx(shape), expected_dx(shape, T(0));
  max_pool2d<T>(x, out);
  max_pool2d_backward<T>(x, dout, dx);
  reference::max_pool2d<T>(x, expected, dout, expected_dx);
  EXPECT_TRUE(close(out, expected, 0.0)) << shape.to_string();
  EXPECT_TRUE(close(dx, expected_dx, 0.0)) << shape.to_string();
}

TEST(MaxPool2d, AgreesWithReference) {
  for (const Shape& shape : {Shape{1, 1, 2, 2}, Shape{2, 3, 5, 7}, Shape{3, 2, 28, 28}}) {
    compare_pool<float>(shape);
    compare_pool<double>(shape);
  }
}

TEST(MaxPool2d, TheFirstOfEqualElementsReceivesTheGradient) {
  const Tensor<float> x(Shape{1, 1, 2, 4}, {0, 3, 1, 1, 3, 2, 1, 1}),
      dout(Shape{1, 1, 1, 2}, {5, 7});  // (1, 1, 2, 4), (1, 1, 1, 2)
  Tensor<float> dx(x.shape());          // (1, 1, 2, 4)
  max_pool2d_backward<float>(x, dout, dx);
  EXPECT_TRUE(close(dx, Tensor<float>(x.shape(), {0, 5, 7, 0, 0, 0, 0, 0}), 0.0));
}

TEST(MaxPool2d, RejectsShapes) {
  // (1, 1, 4, 4), (1, 1, 1, 4)
  const Tensor<float> x(Shape{1, 1, 4, 4}, 1.0f), low(Shape{1, 1, 1, 4}, 1.0f);
  Tensor<float> out(Shape{1, 1, 2, 1}, 9.0f);  // (1, 1, 2, 1)
  EXPECT_THROW(max_pool2d<float>(x, out), ShapeError);
  EXPECT_THROW(max_pool2d<float>(low, out), ShapeError);
  EXPECT_EQ(out[0], 9.0f);
}

}  // namespace
}  // namespace rae
