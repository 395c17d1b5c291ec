#include "rae/kernels/attention.hpp"

#include <gtest/gtest.h>

#include "rae/kernels/reference/attention.hpp"
#include "rae/kernels/rope.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

struct Case {
  index_t batch, tokens, heads, head_dim;
};

class Attention : public testing::TestWithParam<Case> {};

TEST_P(Attention, MatchesReference) {
  const Case c = GetParam();
  Tensor<float> qkv(Shape{c.batch, c.tokens, 3 * c.heads * c.head_dim});
  Philox(5).fill_normal(qkv.span());
  Tensor<float> expected(Shape{c.batch, c.tokens, c.heads * c.head_dim}), out(expected.shape());
  reference::attention<float>(qkv, c.heads, expected);
  test::on_every_isa([&](Isa isa) {
    attention<float>(qkv, c.heads, {}, out);
    EXPECT_TRUE(test::close(out, expected, 5e-6)) << name_of(isa);
  });
}

template <class T>
void compare_backward(const Case& c, double tolerance) {
  const Tensor<T> qkv = test::random_tensor<T>({c.batch, c.tokens, 3 * c.heads * c.head_dim}, 1),
                  dout = test::random_tensor<T>({c.batch, c.tokens, c.heads * c.head_dim}, 2);
  Tensor<T> expected(qkv.shape()), dqkv(qkv.shape());
  reference::attention_backward<T>(qkv, c.heads, dout, expected);
  test::on_every_isa([&](Isa isa) {
    attention_backward<T>(qkv, c.heads, {}, dout, dqkv);
    EXPECT_TRUE(test::close(dqkv, expected, tolerance)) << name_of(isa);
  });
}

TEST_P(Attention, BackwardMatchesReference) {
  compare_backward<float>(GetParam(), 2e-5);
  compare_backward<double>(GetParam(), 1e-13);
}

TEST(Attention, ThreadCountDoesNotChangeABit) {
  const Tensor<float> qkv = test::random_tensor<float>({3, 33, 3 * 2 * 20}, 1), dout = test::random_tensor<float>({3, 33, 2 * 20}, 2);
  const RopeTable<float> rope = make_rope_table<float>(3, 11, 20);
  for (const bool backward : {false, true})
    EXPECT_TRUE(test::same_on_every_thread_count([&] {
      Tensor<float> out(backward ? qkv.shape() : dout.shape());
      if (backward)
        attention_backward<float>(qkv, 2, rope.view(), dout, out);
      else
        attention<float>(qkv, 2, rope.view(), out);
      return out;
    }));
}

INSTANTIATE_TEST_SUITE_P(Shapes, Attention,
                         testing::Values(Case{1, 1, 1, 4}, Case{2, 5, 3, 6}, Case{1, 16, 2, 24}, Case{2, 65, 2, 72}, Case{1, 257, 1, 64},
                                         Case{3, 64, 1, 128}));

TEST(Attention, RejectsWrongShapes) {
  const Tensor<float> qkv(Shape{1, 4, 24}, 0.f), table(Shape{3, 4}, 0.f);
  Tensor<float> out(Shape{1, 4, 8}), wrong(Shape{1, 4, 9});
  EXPECT_THROW(attention<float>(qkv, 3, {}, out), ShapeError);
  EXPECT_THROW(attention<float>(qkv, 2, {}, wrong), ShapeError);
  EXPECT_THROW(attention<float>(qkv, 2, {table.view(), table.view()}, out), ShapeError);
}

}  // namespace
}  // namespace rae
