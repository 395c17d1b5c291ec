#include "rae/kernels/attention.hpp"

#include <gtest/gtest.h>

#include "rae/core/random.hpp"
#include "rae/core/tensor.hpp"
#include "rae/kernels/isa.hpp"
#include "rae/kernels/reference/attention.hpp"
#include "support/golden.hpp"

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
  const Isa before = active_isa();
  for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512}) {
    if (!supports(isa)) continue;
    set_isa(isa);
    attention<float>(qkv, c.heads, {}, out);
    EXPECT_TRUE(test::close(out, expected, 5e-6));
  }
  set_isa(before);
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
