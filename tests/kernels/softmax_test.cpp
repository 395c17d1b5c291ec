#include "rae/kernels/softmax.hpp"

#include <gtest/gtest.h>

#include "rae/core/parallel.hpp"
#include "rae/kernels/reference/softmax.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::random_tensor;

template <class T>
void compare(const Shape& shape, double tolerance) {
  // each of `shape`
  const Tensor<T> x = random_tensor<T>(shape, 1), dp = random_tensor<T>(shape, 2);
  Tensor<T> p(shape), out(shape), in_place = x, dx(shape), expected(shape);  // each of `shape`
  reference::softmax<T>(x, p);
  softmax<T>(x, out);
  EXPECT_TRUE(close(out, p, tolerance));
  softmax<T>(std::as_const(in_place), in_place);
  EXPECT_TRUE(close(in_place, out, 0.0));
  reference::softmax_backward<T>(p, dp, expected);
  softmax_backward<T>(p, dp, dx);
  EXPECT_TRUE(close(dx, expected, 4 * tolerance));
}

TEST(Softmax, AgreesWithReferenceOnEveryInstructionSet) {
  test::on_every_isa([](Isa isa) {
    for (const index_t n : {1, 2, 15, 16, 17, 63, 257, 1000}) {
      SCOPED_TRACE(concat(name_of(isa), ", ", n));
      compare<float>(Shape{3, n}, 2.5e-7);
      compare<double>(Shape{3, n}, 1e-15);
    }
  });
}

TEST(Softmax, LargeScoresDoNotOverflow) {
  test::on_every_isa([](Isa isa) {
    const Tensor<float> x(Shape{3}, {-3e38f, 1e4f, 1e4f});  // (3)
    Tensor<float> out(Shape{3});                            // (3)
    softmax<float>(x, out);
    EXPECT_NEAR(out[0], 0.f, 1e-30f) << name_of(isa);
    EXPECT_NEAR(out[1], 0.5f, 1e-7f) << name_of(isa);
  });
}

TEST(Softmax, ThreadCountDoesNotChangeABit) {
  const Tensor<float> x = random_tensor<float>(Shape{997, 33}, 1),
                      dp = random_tensor<float>(Shape{997, 33}, 2);  // (997, 33) each
  Tensor<float> p[2] = {Tensor<float>(x.shape()), Tensor<float>(x.shape())},
                dx[2] = {Tensor<float>(x.shape()), Tensor<float>(x.shape())};  // each of `shape`
  for (int i = 0; i < 2; ++i) {
    set_num_threads(1 + 4 * i);
    softmax<float>(x, p[i]);
    softmax_backward<float>(p[i], dp, dx[i]);
  }
  set_num_threads(0);
  EXPECT_TRUE(close(p[0], p[1], 0.0));
  EXPECT_TRUE(close(dx[0], dx[1], 0.0));
}

TEST(Softmax, RejectsMismatchedShapes) {
  const Tensor<float> x(Shape{2, 3}, 0.0f), scalar(Shape{}, 0.0f);     // (2, 3), ()
  Tensor<float> wrong(Shape{3, 2}), right(Shape{2, 3}), one(Shape{});  // (3, 2), (2, 3), ()
  EXPECT_THROW(softmax<float>(x, wrong), ShapeError);
  EXPECT_THROW(softmax<float>(scalar, one), ShapeError);
  EXPECT_THROW(softmax_backward<float>(x, wrong, right), ShapeError);
  EXPECT_THROW(softmax_backward<float>(x, x, wrong), ShapeError);
}

}  // namespace
}  // namespace rae
