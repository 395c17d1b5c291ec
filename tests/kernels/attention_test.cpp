#include "rae/kernels/attention.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "rae/core/workspace.hpp"
#include "rae/kernels/reference/attention.hpp"
#include "rae/kernels/reference/rope.hpp"
#include "rae/kernels/rope.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

struct Case {
  index_t batch, tokens, heads, head_dim;
};

// Tolerances: the rounding of f32 sums, or the rounding of numbers to 8 bits of mantissa, whose
// errors average out over keys and channels.
constexpr double kForwardTolerance = 5e-6, kBf16Tolerance = 1.5e-2, kBackwardTolerance = 2e-5,
                 kBf16BackwardTolerance = 5e-2;

class Attention : public testing::TestWithParam<Case> {
 protected:
  const Case c = GetParam();
  const Shape in{c.batch, c.tokens, 3 * c.heads*c.head_dim},
      out{c.batch, c.tokens, c.heads*c.head_dim};
};

// qkv (B, T, 3*H*hd) with queries and keys rotated, or rotated back, by the angles of T tokens.
template <class T>
Tensor<T> rotated(const Tensor<T>& qkv, index_t heads, bool inverse = false) {
  const index_t batch = qkv.extent(0), tokens = qkv.extent(1), dim = qkv.extent(2) / 3 / heads;
  const Shape shape{batch, tokens, 3 * heads, dim};
  Tensor<T> turned(shape), result = qkv;  // (B, T, 3H, D), (B, T, 3*H*hd)
  reference::apply_rope<T>(qkv.reshaped(shape), 1, tokens, turned, inverse);
  for (index_t row = 0; row < batch * tokens; ++row)
    std::copy_n(turned.data() + row * 3 * heads * dim, 2 * heads * dim,
                result.data() + row * 3 * heads * dim);
  return result;
}

template <class T>
void compare_forward(const Case& c, const Tensor<T>& qkv, DType operands, double tolerance) {
  // (B, T, H*hd) each
  Tensor<T> expected(Shape{c.batch, c.tokens, c.heads * c.head_dim}), result(expected.shape());
  for (const bool turns : {false, true}) {
    if (turns && c.head_dim % 4 != 0) continue;
    const RopeTable<T> table = make_rope_table<T>(1, c.tokens, turns ? c.head_dim : 4);
    reference::attention<T>(turns ? rotated(qkv, c.heads) : qkv, c.heads, expected);
    test::on_every_narrow_isa([&](Isa isa) {
      attention<T>(qkv, c.heads, turns ? table.view() : RopeView<T>{}, result, operands);
      EXPECT_TRUE(test::close(result, expected, tolerance))
          << name_of(isa) << ", " << name_of(operands) << (turns ? ", rope" : "");
    });
  }
}

TEST_P(Attention, MatchesReference) {
  const Tensor<float> qkv = test::random_tensor<float>(in, 5);  // (B, T, 3*H*hd)
  compare_forward<float>(c, qkv, DType::f32, kForwardTolerance);
  compare_forward<float>(c, qkv, DType::bf16, kBf16Tolerance);
  compare_forward<double>(c, test::random_tensor<double>(in, 5), DType::f64, 1e-13);
}

template <class T>
void compare_backward(const Case& c, DType operands, double tolerance) {
  // (B, T, 3*H*hd), (B, T, H*hd)
  const Tensor<T> qkv = test::random_tensor<T>({c.batch, c.tokens, 3 * c.heads * c.head_dim}, 1),
                  dout = test::random_tensor<T>({c.batch, c.tokens, c.heads * c.head_dim}, 2);
  Tensor<T> expected(qkv.shape()), dqkv(qkv.shape());  // (B, T, 3*H*hd) each
  for (const bool turns : {false, true}) {
    if (turns && c.head_dim % 4 != 0) continue;
    const RopeTable<T> table = make_rope_table<T>(1, c.tokens, turns ? c.head_dim : 4);
    reference::attention_backward<T>(turns ? rotated(qkv, c.heads) : qkv, c.heads, dout, expected);
    if (turns) expected = rotated(expected, c.heads, true);
    test::on_every_narrow_isa([&](Isa isa) {
      attention_backward<T>(qkv, c.heads, turns ? table.view() : RopeView<T>{}, dout, dqkv,
                            operands);
      EXPECT_TRUE(test::close(dqkv, expected, tolerance))
          << name_of(isa) << ", " << name_of(operands) << (turns ? ", rope" : "");
    });
  }
}

TEST_P(Attention, BackwardMatchesReference) {
  compare_backward<float>(c, DType::f32, kBackwardTolerance);
  compare_backward<float>(c, DType::bf16, kBf16BackwardTolerance);
  compare_backward<double>(c, DType::f64, 1e-13);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Attention,
                         testing::Values(Case{1, 1, 1, 4}, Case{2, 5, 3, 6}, Case{1, 7, 2, 5},
                                         Case{1, 33, 2, 24}, Case{2, 65, 2, 72}, Case{1, 1, 2, 128},
                                         Case{1, 257, 1, 64}, Case{1, 261, 1, 72},
                                         Case{1, 97, 1, 128}, Case{3, 64, 1, 48}));

TEST(AttentionBits, ThreadCountDoesNotChangeABit) {
  // (3, 67, 120), (3, 67, 40)
  const Tensor<float> qkv = test::random_tensor<float>({3, 67, 3 * 2 * 20}, 1),
                      dout = test::random_tensor<float>({3, 67, 2 * 20}, 2);
  const RopeTable<float> rope = make_rope_table<float>(1, 67, 20);
  for (const DType operands : {DType::f32, DType::bf16})
    test::on_every_narrow_isa([&](Isa isa) {
      for (const bool backward : {false, true})
        EXPECT_TRUE(test::same_on_every_thread_count([&] {
          Tensor<float> out(backward ? qkv.shape() : dout.shape());  // (3, 67, 120) or (3, 67, 40)
          if (backward)
            attention_backward<float>(qkv, 2, rope.view(), dout, out, operands);
          else
            attention<float>(qkv, 2, rope.view(), out, operands);
          return out;
        })) << name_of(isa)
            << ", " << name_of(operands);
    });
}

// The exponentials are divided by the sum of the rounded numbers, so that the weights add up to one
// in bf16, too.
TEST(AttentionBits, EqualValuesAreReturnedExactly) {
  // (1, 70, 72), (1, 70, 24)
  Tensor<float> qkv = test::random_tensor<float>({1, 70, 3 * 24}, 3), out(Shape{1, 70, 24});
  for (index_t t = 0; t < 70; ++t) std::fill_n(qkv.data() + t * 72 + 48, 24, 0.75f);
  test::on_every_narrow_isa([&](Isa isa) {
    attention<float>(qkv, 1, {}, out, DType::bf16);
    EXPECT_TRUE(test::close(out, Tensor<float>(out.shape(), 0.75f), 2e-6)) << name_of(isa);
  });
}

// The scores are far apart: the largest weight is one, and the others vanish without becoming
// infinite or NaN.
TEST(AttentionBits, LargeScoresSelectOneKey) {
  Tensor<float> qkv = test::random_tensor<float>({1, 40, 3 * 16}, 4), out(Shape{1, 40, 16}),
                expected(out.shape());  // (1, 40, 316), (1, 40, 16), (1, 40, 16)
  for (index_t t = 0; t < 40; ++t)
    for (index_t i = 0; i < 16; ++i) {
      qkv[t * 48 + i] = 1000.0f;
      qkv[t * 48 + 16 + i] = static_cast<float>(t);
      expected[t * 16 + i] = static_cast<float>(bf16(qkv[39 * 48 + 32 + i]));
      qkv[39 * 48 + 32 + i] = expected[t * 16 + i];
    }
  for (const DType operands : {DType::f32, DType::bf16})
    test::on_every_narrow_isa([&](Isa isa) {
      attention<float>(qkv, 1, {}, out, operands);
      EXPECT_TRUE(test::close(out, expected, 1e-6)) << name_of(isa) << ", " << name_of(operands);
    });
}

// A NaN of one token reaches all results of its head, but no other head or image.
TEST(AttentionBits, NanStaysWithItsHead) {
  for (const DType operands : {DType::f32, DType::bf16})
    test::on_every_narrow_isa([&](Isa isa) {
      Tensor<float> qkv = test::random_tensor<float>({2, 40, 3 * 2 * 7}, 4),
                    out(Shape{2, 40, 2 * 7});  // (2, 40, 327), (2, 40, 27)
      qkv[14] =
          std::numeric_limits<float>::quiet_NaN();  // a key of the first head of the first image
      attention<float>(qkv, 2, {}, out, operands);
      for (index_t i = 0; i < out.numel(); ++i)
        EXPECT_EQ(std::isnan(out[i]), i < 40 * 14 && i % 14 < 7)
            << name_of(isa) << ", " << name_of(operands) << ", " << i;
    });
}

// Scratch memory may have any contents, here NaN: the padding of odd extents must be written before
// it is read.
TEST(AttentionBits, ContentsOfScratchMemoryDoNotMatter) {
  Workspace workspace;
  const WorkspaceScope scope(workspace);
  const Shape in{1, 33, 3 * 2 * 7}, out{1, 33, 2 * 7};
  const Tensor<float> qkv = test::random_tensor<float>(in, 1),
                      dout = test::random_tensor<float>(out, 2);  // (1, 33, 327), (1, 33, 27)
  Tensor<float> result(out), gradient(in);                        // (1, 33, 14), (1, 33, 42)
  const auto fill_free_memory = [] {
    std::vector<Tensor<float>> blocks;  // a block is reused by tensors of at least half its size
    for (index_t n = 1 << 10; n <= 1 << 18; n *= 2)
      blocks.emplace_back(Shape{n}, std::numeric_limits<float>::quiet_NaN());
  };
  for (const DType operands : {DType::f32, DType::bf16})
    test::on_every_narrow_isa([&](Isa isa) {
      fill_free_memory();
      attention<float>(qkv, 2, {}, result, operands);
      EXPECT_TRUE(std::isfinite(test::dot(result, result)))
          << name_of(isa) << ", " << name_of(operands);
      fill_free_memory();
      attention_backward<float>(qkv, 2, {}, dout, gradient, operands);
      EXPECT_TRUE(std::isfinite(test::dot(gradient, gradient)))
          << name_of(isa) << ", " << name_of(operands);
    });
}

TEST(AttentionBits, RejectsWrongShapes) {
  const Tensor<float> qkv(Shape{1, 4, 24}, 0.f), table(Shape{3, 4}, 0.f);  // (1, 4, 24), (3, 4)
  Tensor<float> out(Shape{1, 4, 8}), wrong(Shape{1, 4, 9});                // (1, 4, 8), (1, 4, 9)
  EXPECT_THROW(attention<float>(qkv, 3, {}, out), ShapeError);
  EXPECT_THROW(attention<float>(qkv, 2, {}, wrong), ShapeError);
  EXPECT_THROW(attention<float>(qkv, 2, {table.view(), table.view()}, out), ShapeError);
}

TEST(AttentionBits, RejectsOtherOperands) {
  const Tensor<float> qkv(Shape{1, 4, 24}, 0.f);         // (1, 4, 24)
  const Tensor<double> wide(Shape{1, 4, 24}, 0.0);       // (1, 4, 24)
  Tensor<float> out(Shape{1, 4, 8}), dqkv(qkv.shape());  // (1, 4, 8), (1, 4, 24)
  Tensor<double> wide_out(out.shape());                  // (1, 4, 8)
  EXPECT_THROW(attention<float>(qkv, 2, {}, out, DType::int8), ArgumentError);
  EXPECT_THROW(attention<double>(wide, 2, {}, wide_out, DType::bf16), ArgumentError);
  EXPECT_THROW(attention_backward<float>(qkv, 2, {}, out, dqkv, DType::f64), ArgumentError);
}

}  // namespace
}  // namespace rae
