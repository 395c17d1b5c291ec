#include "rae/kernels/group_norm.hpp"

#include "rae/kernels/isa.hpp"
#include "rae/kernels/reference/group_norm.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::random_tensor;

template <class T>
void compare_with_reference(const Shape& shape, index_t groups, double tolerance) {
  // (B, C, P), (C), (C)
  const Tensor<T> x = random_tensor<T>(shape, 1), weight = random_tensor<T>({shape[1]}, 2),
                  bias = random_tensor<T>({shape[1]}, 3);
  Tensor<T> out(shape), expected(shape);  // (B, C, P) each
  group_norm<T>(x, weight, bias, groups, 1e-5, out);
  reference::group_norm<T>(x, weight, bias, groups, 1e-5, expected);
  EXPECT_TRUE(close(out, expected, tolerance)) << shape.to_string() << " in " << groups;
}

// The tolerances allow for the rounding of sums of at most 2,000 normal numbers.
TEST(GroupNorm, AgreesWithReferenceOnEveryInstructionSet) {
  test::on_every_isa([](Isa) {
    for (const auto& [shape, groups] : {std::pair<Shape, index_t>{{2, 6, 35}, 3},
                                        {{3, 4, 1}, 1},
                                        {{1, 8, 250}, 1},
                                        {{2, 5, 16}, 5},
                                        {{9, 32, 64}, 8}}) {
      compare_with_reference<float>(shape, groups, 2e-5);
      compare_with_reference<double>(shape, groups, 1e-12);
    }
  });
}

TEST(GroupNorm, ThreadCountDoesNotChangeABit) {
  const Tensor<float> x = random_tensor<float>({20, 16, 100}, 1),
                      weight = random_tensor<float>({16}, 2),
                      dout = random_tensor<float>({20, 16, 100}, 3);  // (B, C, P), (C), (B, C, P)
  for (const int which : {0, 1, 2})
    EXPECT_TRUE(test::same_on_every_thread_count([&] {
      Tensor<float> dx(x.shape()), dweight({16}, 1.0f), dbias({16}, 1.0f);  // (B, C, P), (C), (C)
      group_norm_backward<float>(x, weight, 4, 1e-5, dout, dx, dweight, dbias);
      return which == 0 ? dx : which == 1 ? dweight : dbias;
    })) << which;
}

TEST(GroupNorm, RejectsShapesAndGroups) {
  const Tensor<float> x(Shape{2, 6, 4}, 1.0f), weight(Shape{6}, 1.0f),
      wrong(Shape{5}, 1.0f);                                             // (2, 6, 4), (6), (5)
  Tensor<float> out(Shape{2, 6, 4}, 9.0f), other(Shape{2, 6, 5}, 9.0f);  // as named
  EXPECT_THROW(group_norm<float>(x, weight, weight, 4, 1e-5, out), ArgumentError);
  EXPECT_THROW(group_norm<float>(x, weight, weight, 0, 1e-5, out), ArgumentError);
  EXPECT_THROW(group_norm<float>(x, wrong, weight, 3, 1e-5, out), ShapeError);
  EXPECT_THROW(group_norm<float>(x, weight, wrong, 3, 1e-5, out), ShapeError);
  EXPECT_THROW(group_norm<float>(x, weight, weight, 3, 1e-5, other), ShapeError);
  EXPECT_THROW(group_norm_backward<float>(x, weight, 3, 1e-5, other, out, {}, {}), ShapeError);
  EXPECT_EQ(out[0], 9.0f);
}

}  // namespace
}  // namespace rae
