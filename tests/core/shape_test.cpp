#include "rae/core/shape.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace rae {
namespace {

constexpr index_t kLargest = std::numeric_limits<index_t>::max();

TEST(Shape, ScalarHasOneElement) {
  const Shape scalar;
  EXPECT_EQ(scalar.rank(), 0);
  EXPECT_EQ(scalar.numel(), 1);
  EXPECT_EQ(scalar.rows(), 1);
  EXPECT_EQ(scalar.to_string(), "()");
  EXPECT_EQ(scalar, Shape(std::initializer_list<index_t>{}));
}

TEST(Shape, ExtentsFromBothEnds) {
  const Shape shape{2, 16, 768};
  EXPECT_EQ(shape.rank(), 3);
  EXPECT_EQ(shape[0], 2);
  EXPECT_EQ(shape[2], 768);
  EXPECT_EQ(shape[-1], 768);
  EXPECT_EQ(shape[-3], 2);
  EXPECT_EQ(shape.numel(), 2 * 16 * 768);
  EXPECT_EQ(shape.rows(), 32);
  EXPECT_EQ(shape.to_string(), "(2, 16, 768)");
  EXPECT_EQ(std::vector<index_t>(shape.begin(), shape.end()), (std::vector<index_t>{2, 16, 768}));
}

TEST(Shape, ZeroExtentMeansNoElements) {
  const Shape shape{4, 0, 3};
  EXPECT_EQ(shape.numel(), 0);
  EXPECT_EQ(shape.rows(), 0);
}

TEST(Shape, WithReplacesOneExtent) {
  const Shape shape{2, 3, 4};
  EXPECT_EQ(shape.with(1, 9), (Shape{2, 9, 4}));
  EXPECT_EQ(shape.with(-1, 9), (Shape{2, 3, 9}));
  EXPECT_THROW((void)shape.with(0, -1), ShapeError);
  EXPECT_EQ(shape, (Shape{2, 3, 4}));
}

TEST(Shape, EqualityNeedsRankAndExtents) {
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_FALSE((Shape{2, 3}) == (Shape{3, 2}));
  EXPECT_FALSE((Shape{2, 3}) == (Shape{2, 3, 1}));
  EXPECT_FALSE(Shape{} == Shape{1});
}

TEST(Shape, RefusesTooManyOrNegativeExtents) {
  EXPECT_NO_THROW((Shape{1, 1, 1, 1, 1, 1}));
  EXPECT_THROW((Shape{1, 1, 1, 1, 1, 1, 1}), ShapeError);
  EXPECT_THROW((Shape{2, -1}), ShapeError);
  EXPECT_THROW((Shape{std::numeric_limits<index_t>::min()}), ShapeError);
}

TEST(Shape, RefusesElementCountsThatOverflow) {
  EXPECT_THROW((Shape{kLargest}), ShapeError);
  EXPECT_THROW((Shape{index_t{1} << 40, index_t{1} << 40}), ShapeError);
  EXPECT_NO_THROW((Shape{index_t{1} << 40, index_t{1} << 18}));
  // The limit leaves room for sizes in bytes, with at most 16 bytes per element.
  EXPECT_NO_THROW((Shape{kLargest / 16}));
  EXPECT_THROW((Shape{kLargest / 16 + 1}), ShapeError);
}

TEST(Shape, FromSpan) {
  const std::vector<index_t> extents{5, 6};
  EXPECT_EQ(Shape(std::span<const index_t>(extents)), (Shape{5, 6}));
}

TEST(Shape, WorksAtCompileTime) {
  constexpr Shape shape{2, 3, 4};
  static_assert(shape.numel() == 24 && shape.rows() == 6 && shape[-1] == 4);
  static_assert(shape.with(0, 1) == Shape{1, 3, 4});
}

}  // namespace
}  // namespace rae
