#include "rae/models/pixel_norm.hpp"

#include <gtest/gtest.h>

#include "support/golden.hpp"

namespace rae {
namespace {

using test::close;

TEST(PixelNorm, NormalisesEachChannelAndBack) {
  const PixelNorm norm{{0.5, 0.25, 0}, {0.5, 0.25, 1}};
  const Tensor<float> image(Shape{1, 3, 1, 2}, {1, 0, 0.5, 0.25, 0.25, 1});  // (B, 3, H, W)
  const Tensor<float> expected(image.shape(), {1, -1, 1, 0, 0.25, 1});       // (B, 3, H, W)
  EXPECT_TRUE(close(normalize_pixels(image, norm), expected, 0.0));
  EXPECT_TRUE(close(denormalize_pixels(expected, norm), image, 0.0));
}

TEST(PixelNorm, GrayPicturesUseTheFirstChannel) {
  const PixelNorm norm{{0.5, 9, 9}, {0.25, 9, 9}};
  const Tensor<float> image(Shape{2, 1, 1, 1}, {1, 0});  // (B, 1, H, W)
  EXPECT_TRUE(close(normalize_pixels(image, norm), Tensor<float>(image.shape(), {2, -2}), 0.0));
}

TEST(PixelNorm, RefusesOtherShapes) {
  EXPECT_THROW((void)normalize_pixels(Tensor<float>(Shape{3, 4, 4}, 0.f), PixelNorm{}), ShapeError);
  EXPECT_THROW((void)denormalize_pixels(Tensor<float>(Shape{1, 4, 2, 2}, 0.f), PixelNorm{}),
               ShapeError);
}

}  // namespace
}  // namespace rae
