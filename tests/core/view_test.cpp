#include "rae/core/view.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <type_traits>
#include <vector>

namespace rae {
namespace {

class ViewTest : public testing::Test {
 protected:
  ViewTest() : values(24) { std::iota(values.begin(), values.end(), 0.0f); }
  std::vector<float> values;
  View<float> view() { return {values.data(), Shape{2, 3, 4}}; }
};

TEST_F(ViewTest, RowMajorStridesAndAccess) {
  const auto v = view();
  EXPECT_EQ(v.stride(0), 12);
  EXPECT_EQ(v.stride(1), 4);
  EXPECT_EQ(v.stride(-1), 1);
  EXPECT_EQ(v.extent(-1), 4);
  EXPECT_EQ(v.numel(), 24);
  EXPECT_TRUE(v.is_contiguous());
  EXPECT_EQ(v(1, 2, 3), 23.0f);
  EXPECT_EQ(v(0, 1, 2), 6.0f);
}

TEST_F(ViewTest, WritesToTheViewedMemory) {
  view()(1, 0, 1) = -5.0f;
  EXPECT_EQ(values[13], -5.0f);
}

TEST_F(ViewTest, ConvertsToConstButNotBack) {
  const View<const float> c = view();
  EXPECT_EQ(c(1, 2, 3), 23.0f);
  static_assert(std::is_convertible_v<View<float>, View<const float>>);
  static_assert(!std::is_convertible_v<View<const float>, View<float>>);
  static_assert(!std::is_constructible_v<View<float>, View<const float>>);
}

TEST_F(ViewTest, ConversionToConstKeepsStrides) {
  const View<const float> c = view().transposed();
  EXPECT_EQ(c(1, 3, 2), 23.0f);
  EXPECT_FALSE(c.is_contiguous());
}

TEST_F(ViewTest, TransposedExchangesTheLastTwo) {
  const auto t = view().transposed();
  EXPECT_EQ(t.shape(), (Shape{2, 4, 3}));
  for (int b = 0; b < 2; ++b)
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 4; ++j) EXPECT_EQ(t(b, j, i), view()(b, i, j));
  EXPECT_FALSE(t.is_contiguous());
  EXPECT_TRUE(t.transposed().is_contiguous());
  EXPECT_THROW((void)View<float>(values.data(), Shape{24}).transposed(), ShapeError);
}

TEST_F(ViewTest, SliceSelectsARange) {
  const auto s = view().slice(1, 1, 2);
  EXPECT_EQ(s.shape(), (Shape{2, 2, 4}));
  EXPECT_EQ(s(0, 0, 0), 4.0f);
  EXPECT_EQ(s(1, 1, 3), 23.0f);
  EXPECT_FALSE(s.is_contiguous());
  EXPECT_TRUE(view().slice(0, 1, 1).is_contiguous());
  EXPECT_EQ(view().slice(-1, 3, 1)(1, 2, 0), 23.0f);
  EXPECT_EQ(view().slice(0, 2, 0).numel(), 0);
}

TEST_F(ViewTest, SliceRefusesRangesOutside) {
  EXPECT_THROW((void)view().slice(3, 0, 1), ShapeError);
  EXPECT_THROW((void)view().slice(-4, 0, 1), ShapeError);
  EXPECT_THROW((void)view().slice(1, 2, 2), ShapeError);
  EXPECT_THROW((void)view().slice(1, -1, 1), ShapeError);
  EXPECT_THROW((void)view().slice(1, 0, -1), ShapeError);
}

TEST_F(ViewTest, ExtentsOfOneDoNotBreakContiguity) {
  const View<float> v(values.data(), Shape{1, 4}, {99, 1, 0, 0, 0, 0});
  EXPECT_TRUE(v.is_contiguous());
  const View<float> w(values.data(), Shape{2, 4}, {8, 1, 0, 0, 0, 0});
  EXPECT_FALSE(w.is_contiguous());
}

TEST(View, DefaultIsEmpty) {
  const View<int> v;
  EXPECT_TRUE(v.empty());
  EXPECT_EQ(v.data(), nullptr);
}

}  // namespace
}  // namespace rae
