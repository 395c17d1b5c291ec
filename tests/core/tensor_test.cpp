#include "rae/core/tensor.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <thread>
#include <type_traits>
#include <vector>

namespace rae {
namespace {

template <class T>
class TensorOf : public testing::Test {};
using ElementTypes =
    testing::Types<float, double, bf16, f16, std::int64_t, std::int32_t, std::uint8_t>;
TYPED_TEST_SUITE(TensorOf, ElementTypes);

TYPED_TEST(TensorOf, IsAlignedFilledAndContiguous) {
  for (const index_t n : {1, 3, 17, 1000}) {
    const Tensor<TypeParam> t(Shape{n, 3}, TypeParam(3));  // (N, 3)
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(t.data()) % 64, 0u);
    EXPECT_EQ(t.numel(), 3 * n);
    for (const TypeParam& v : t.span()) ASSERT_EQ(v, TypeParam(3));
    EXPECT_TRUE(t.view().is_contiguous());
  }
}

TYPED_TEST(TensorOf, ZerosAreZero) {
  const auto t = Tensor<TypeParam>::zeros(Shape{5, 7});
  for (const TypeParam& v : t.span()) ASSERT_EQ(v, TypeParam{});
}

TYPED_TEST(TensorOf, CopyIsAValue) {
  Tensor<TypeParam> a(Shape{4}, TypeParam(1));  // (4)
  const Tensor<TypeParam> b = a;                // (4)
  EXPECT_EQ(std::as_const(a).data(), b.data())
      << "a copy shares its elements until one is written to";
  a.data()[2] = TypeParam(9);
  EXPECT_EQ(b[2], TypeParam(1));
  EXPECT_EQ(std::as_const(a)[2], TypeParam(9));
  EXPECT_NE(std::as_const(a).data(), b.data());
}

TEST(Tensor, DefaultIsEmpty) {
  Tensor<float> t;
  EXPECT_TRUE(t.empty());
  EXPECT_EQ(t.numel(), 0);
  EXPECT_EQ(t.rank(), 0);
  EXPECT_EQ(t.data(), nullptr);
  EXPECT_TRUE(t.span().empty());
  EXPECT_NO_THROW(t.fill(1.0f));
  const Tensor<float> copy = t;
  EXPECT_TRUE(copy.empty());
}

TEST(Tensor, ScalarAndZeroExtents) {
  const Tensor<float> scalar(Shape{}, 2.5f);  // ()
  EXPECT_FALSE(scalar.empty());
  EXPECT_EQ(scalar.numel(), 1);
  EXPECT_EQ(scalar[0], 2.5f);
  const Tensor<float> none(Shape{0, 3}, 1.0f);  // (0, 3)
  EXPECT_EQ(none.numel(), 0);
  EXPECT_EQ(none.shape(), (Shape{0, 3}));
  EXPECT_FALSE(none.empty());
}

TEST(Tensor, ValuesMustMatchTheShape) {
  const Tensor<int> t(Shape{2, 2}, {1, 2, 3, 4});  // (2, 2)
  EXPECT_EQ(t.view()(1, 0), 3);
  EXPECT_THROW((Tensor<int>(Shape{2, 2}, {1, 2, 3})), ShapeError);
  EXPECT_THROW((Tensor<int>(Shape{1}, {1, 2})), ShapeError);
}

TEST(Tensor, WritingThroughEveryMutableAccessDetaches) {
  const Tensor<float> original(Shape{3}, {1, 2, 3});                                   // (3)
  Tensor<float> a = original, b = original, c = original, d = original, e = original;  // (3) each
  a[0] = 10;
  b.span()[0] = 11;
  c.view()(0) = 12;
  d.fill(13);
  const View<float> v = e;
  v(0) = 14;
  EXPECT_EQ(original[0], 1.0f);
  EXPECT_EQ(std::as_const(a)[0], 10.0f);
  EXPECT_EQ(std::as_const(b)[0], 11.0f);
  EXPECT_EQ(std::as_const(c)[0], 12.0f);
  EXPECT_EQ(std::as_const(d)[2], 13.0f);
  EXPECT_EQ(std::as_const(e)[0], 14.0f);
}

TEST(Tensor, SoleOwnerWritesInPlace) {
  Tensor<float> a(Shape{3}, 1.0f);  // (3)
  const float* before = std::as_const(a).data();
  { const Tensor<float> shared = a; }
  EXPECT_EQ(a.data(), before);
}

TEST(Tensor, MoveLeavesEmptyAndKeepsElements) {
  Tensor<float> a(Shape{3}, 1.0f);  // (3)
  const float* elements = std::as_const(a).data();
  Tensor<float> b = std::move(a);  // (3)
  EXPECT_EQ(std::as_const(b).data(), elements);
  EXPECT_TRUE(a.empty());  // NOLINT: the moved-from state is part of the contract
  EXPECT_EQ(a.shape(), Shape{});
  static_assert(std::is_nothrow_move_constructible_v<Tensor<float>> &&
                std::is_nothrow_move_assignable_v<Tensor<float>>);
}

TEST(Tensor, SelfAssignmentKeepsElements) {
  Tensor<float> a(Shape{2}, {1, 2});  // (2)
  auto& alias = a;
  a = alias;
  EXPECT_EQ(std::as_const(a)[1], 2.0f);
  a = std::move(alias);
  EXPECT_EQ(std::as_const(a)[1], 2.0f);
}

TEST(Tensor, ReshapedSharesElementsAndInfersAnExtent) {
  const Tensor<float> t(Shape{2, 3, 4}, 1.0f);  // (2, 3, 4)
  EXPECT_EQ(t.reshaped({6, 4}).shape(), (Shape{6, 4}));
  EXPECT_EQ(t.reshaped({-1, 4}).shape(), (Shape{6, 4}));
  EXPECT_EQ(t.reshaped({2, -1}).shape(), (Shape{2, 12}));
  EXPECT_EQ(t.reshaped({-1}).shape(), (Shape{24}));
  const Tensor<float> same = t.reshaped(Shape{24});  // (24)
  EXPECT_EQ(same.data(), t.data());
}

TEST(Tensor, ReshapedIsAValueToo) {
  const Tensor<float> t(Shape{2, 2}, {1, 2, 3, 4});  // (2, 2)
  Tensor<float> flat = t.reshaped({4});              // (4)
  flat[0] = 9;
  EXPECT_EQ(t[0], 1.0f);
}

TEST(Tensor, ReshapedRefusesAnotherNumberOfElements) {
  const Tensor<float> t(Shape{2, 3, 4}, 1.0f);  // (2, 3, 4)
  EXPECT_THROW((void)t.reshaped({5, 5}), ShapeError);
  EXPECT_THROW((void)t.reshaped({-1, 5}), ShapeError);
  EXPECT_THROW((void)t.reshaped({-1, -1}), ShapeError);
  EXPECT_THROW((void)t.reshaped({-2, -12}), ShapeError);
  EXPECT_THROW((void)t.reshaped({-1, 0}), ShapeError);
  EXPECT_THROW((void)t.reshaped({-1, -4}), ShapeError);
  EXPECT_THROW((void)t.reshaped({1, 1, 1, 1, 2, 3, 4}), ShapeError);
  EXPECT_THROW((void)t.reshaped({index_t{1} << 33, index_t{1} << 33}), ShapeError);
  EXPECT_THROW((void)t.reshaped({-1, index_t{1} << 33, index_t{1} << 33}), ShapeError);
}

TEST(Tensor, HugeShapesThrowInsteadOfOverflowing) {
  EXPECT_THROW((Tensor<double>(Shape{index_t{1} << 50})), ArgumentError);
  EXPECT_THROW((Tensor<double>(Shape{std::numeric_limits<index_t>::max() / 16})), ArgumentError);
}

TEST(Tensor, ConvertGoesThroughFloat) {
  const Tensor<float> t(Shape{2, 2}, {1.0f, -2.5f, 65520.0f, 0.1f});  // (2, 2)
  const auto half = convert<f16>(t);
  EXPECT_EQ(half.shape(), t.shape());
  EXPECT_EQ(half[1], f16(-2.5f));
  EXPECT_EQ(half[2].bits, 0x7c00u);
  EXPECT_EQ(convert<float>(half)[3], static_cast<float>(f16(0.1f)));
  EXPECT_EQ(convert<bf16>(half)[1], bf16(-2.5f));
  EXPECT_EQ(convert<double>(Tensor<std::int32_t>(Shape{1}, {-7}))[0], -7.0);
  EXPECT_TRUE(convert<float>(Tensor<bf16>()).empty());
}

TEST(Tensor, AllFinite) {
  std::vector<float> values(100, 1.0f);
  EXPECT_TRUE(all_finite(std::span<const float>(values)));
  for (const float bad :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN()}) {
    values[57] = bad;
    EXPECT_FALSE(all_finite(std::span<const float>(values)));
  }
  EXPECT_TRUE(all_finite(std::span<const float>()));
}

TEST(Tensor, CopiesMayBeWrittenOnDifferentThreads) {
  const Tensor<float> original(Shape{1000}, 1.0f);  // (1000)
  std::vector<Tensor<float>> copies(4, original);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < copies.size(); ++i)
    threads.emplace_back([&copies, i] {
      for (int round = 0; round < 50; ++round) {
        Tensor<float> mine = copies[i];  // (1000)
        mine.fill(static_cast<float>(i));
        copies[i] = mine;
      }
    });
  for (auto& thread : threads) thread.join();
  for (std::size_t i = 0; i < copies.size(); ++i)
    for (const float v : std::as_const(copies[i]).span()) ASSERT_EQ(v, static_cast<float>(i));
  for (const float v : original.span()) ASSERT_EQ(v, 1.0f);
}

}  // namespace
}  // namespace rae
