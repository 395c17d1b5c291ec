#include "rae/generate/token_mask.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "support/tiny_bundle.hpp"

namespace rae {
namespace {

TEST(TokenMask, ATokenChangesIfOneOfItsPixelsIsWhite) {
  const ModelConfig model = test::tiny_config();
  Image mask(8, 8, 1);
  mask.pixels()[8 * 3 + 4] = 255;                     // row 3, column 4
  const Tensor<float> one = token_mask(mask, model);  // (1, 1, h, w)
  ASSERT_EQ(one.shape(), (Shape{1, 1, 2, 2}));
  EXPECT_EQ(std::vector<float>(one.span().begin(), one.span().end()),
            (std::vector<float>{0, 1, 0, 0}));
  mask.pixels()[8 * 3 + 4] = 127;
  EXPECT_EQ(token_mask(mask, model)[1], 0.0f);
  const Tensor<float> all = token_mask(Image(20, 30, 3, 255), model);  // (1, 1, h, w)
  for (index_t i = 0; i < 4; ++i) EXPECT_EQ(all[i], 1.0f);
  EXPECT_THROW((void)token_mask(Image(), model), ArgumentError);
  const Tensor<float> wide = token_mask(Image(12, 8, 1), test::wide_config());  // (1, 1, h, w)
  EXPECT_EQ(wide.shape(), (Shape{1, 1, 2, 3}));
}

}  // namespace
}  // namespace rae
