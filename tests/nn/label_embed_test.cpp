#include "rae/nn/label_embed.hpp"

#include <gtest/gtest.h>

#include "support/golden.hpp"

namespace rae {
namespace {

using test::close;

TEST(LabelEmbed, TheNullClassIsTheLastRow) {
  LabelEmbed<Tensor<float>> with(3, true, 2), without(3, false, 2);
  EXPECT_EQ(with.table.shape(), (Shape{4, 2}));
  EXPECT_EQ(without.table.shape(), (Shape{3, 2}));
  with.table.set(Tensor<float>(Shape{4, 2}, {0, 1, 2, 3, 4, 5, 6, 7}));
  const std::int64_t null[] = {3, 1}, outside[] = {4}, negative[] = {-1};
  EXPECT_TRUE(close(with(null), Tensor<float>(Shape{2, 2}, {6, 7, 2, 3}), 0.0));
  EXPECT_THROW((void)with(outside), ArgumentError);
  EXPECT_THROW((void)without(null), ArgumentError);
  EXPECT_THROW((void)with(negative), ArgumentError);
}

}  // namespace
}  // namespace rae
