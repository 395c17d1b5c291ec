// Rotations of channels half a head apart, and tables with tokens that are not rotated.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "rae/core/random.hpp"
#include "rae/kernels/rope.hpp"
#include "support/golden.hpp"

namespace rae {
namespace {

using test::close;

constexpr index_t kTokens = 3, kHeads = 2, kDim = 8;

/// Moves the channels k and k + hd/2 of queries and keys to 2k and 2k + 1.
Tensor<double> as_neighbours(const Tensor<double>& qkv) {
  Tensor<double> out = qkv;  // (1, T, 3*H*hd)
  for (index_t t = 0; t < kTokens; ++t)
    for (index_t part = 0; part < 2; ++part)
      for (index_t h = 0; h < kHeads; ++h) {
        const index_t at = ((t * 3 + part) * kHeads + h) * kDim;
        for (index_t k = 0; k < kDim / 2; ++k) {
          out[at + 2 * k] = qkv[at + k];
          out[at + 2 * k + 1] = qkv[at + k + kDim / 2];
        }
      }
  return out;
}

TEST(RopePairs, HalvesAreNeighboursOfOtherChannels) {
  Tensor<double> qkv(Shape{1, kTokens, 3 * kHeads * kDim}), angles(Shape{kTokens, kDim / 2});
  Philox(1).fill_normal(qkv.span());
  Philox(2).fill_normal(angles.span());
  RopeTable<double> halves{Tensor<double>(Shape{kTokens, kDim}),
                           Tensor<double>(Shape{kTokens, kDim}), RopePairs::halves};
  RopeTable<double> neighbours{Tensor<double>(Shape{kTokens, kDim}),
                               Tensor<double>(Shape{kTokens, kDim})};
  for (index_t t = 0; t < kTokens; ++t)
    for (index_t k = 0; k < kDim / 2; ++k) {
      const double c = std::cos(angles[t * kDim / 2 + k]), s = std::sin(angles[t * kDim / 2 + k]);
      for (const index_t i : {k, k + kDim / 2}) {
        halves.cos[t * kDim + i] = c;
        halves.sin[t * kDim + i] = s;
      }
      for (const index_t i : {2 * k, 2 * k + 1}) {
        neighbours.cos[t * kDim + i] = c;
        neighbours.sin[t * kDim + i] = s;
      }
    }
  const Tensor<double> other = as_neighbours(qkv);  // (1, T, 3*H*hd)
  Tensor<double> a(Shape{1, kTokens, kHeads * kDim}), b(Shape{1, kTokens, kHeads * kDim}), g = a;
  attention<double>(qkv.view(), kHeads, halves.view(), a.view());
  attention<double>(other.view(), kHeads, neighbours.view(), b.view());
  EXPECT_TRUE(close(a, b, 1e-14));
  Philox(3).fill_normal(g.span());
  Tensor<double> da(qkv.shape()), db(qkv.shape());  // (1, T, 3*H*hd) each
  attention_backward<double>(qkv.view(), kHeads, halves.view(), g.view(), da.view());
  attention_backward<double>(other.view(), kHeads, neighbours.view(), g.view(), db.view());
  EXPECT_TRUE(close(as_neighbours(da), db, 1e-13));
}

TEST(RopePairs, CentredTableFollowsTheFormula) {
  const RopeTable<double> table = make_centred_rope_table<double>(2, 3, 8, 100);
  EXPECT_EQ(table.pairs, RopePairs::halves);
  // Token (1, 0): y = 2 * 1.5 / 2 - 1, x = 2 * 0.5 / 3 - 1; periods 1 and 10.
  const double y = 0.5, x = -2.0 / 3, pi = std::numbers::pi;
  const double angles[] = {2 * pi * y, 2 * pi * y / 10, 2 * pi * x, 2 * pi * x / 10};
  for (index_t i = 0; i < 8; ++i) {
    EXPECT_NEAR(table.cos[3 * 8 + i], std::cos(angles[i % 4]), 1e-14) << i;
    EXPECT_NEAR(table.sin[3 * 8 + i], std::sin(angles[i % 4]), 1e-14) << i;
  }
  EXPECT_THROW((void)make_centred_rope_table<double>(2, 3, 6), ArgumentError);
  EXPECT_THROW((void)make_centred_rope_table<double>(2, 3, 8, 0), ArgumentError);
}

TEST(RopePairs, OtherTokensKeepTheirPlace) {
  const RopeTable<float> table = make_rope_table<float>(1, 2, 4);
  const RopeTable<float> padded = with_unrotated_tokens(table, 1, 2);
  ASSERT_EQ(padded.cos.shape(), (Shape{5, 4}));
  for (index_t i = 0; i < 20; ++i) {
    const bool own = i >= 4 && i < 12;
    EXPECT_EQ(padded.cos[i], own ? table.cos[i - 4] : 1.0f) << i;
    EXPECT_EQ(padded.sin[i], own ? table.sin[i - 4] : 0.0f) << i;
  }
  EXPECT_THROW((void)with_unrotated_tokens(table, -1, 0), ArgumentError);
  Tensor<float> x(Shape{1, 2, 1, 4}, 1.0f);  // (B, T, H, hd)
  EXPECT_THROW(
      apply_rope<float>(x.view(), make_centred_rope_table<float>(1, 2, 4).view(), x.view()),
      ArgumentError);
}

}  // namespace
}  // namespace rae
