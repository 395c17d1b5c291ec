#include "rae/metrics/ssim.hpp"

#include "rae/core/random.hpp"
#include "support/golden.hpp"

namespace rae {
namespace {

TEST(SsimTest, AgreesWithBothConventionsOfTorchmetrics) {
  const test::Golden golden("metrics/io.safetensors");
  const Tensor<std::uint8_t> ref = golden.get<std::uint8_t>("ref"),
                             rec = golden.get<std::uint8_t>("rec");           // (3, 32, 32, 3)
  const auto a = channels_first(rec.view()), b = channels_first(ref.view());  // (3, 3, 32, 32)
  const auto check = [&](SsimBorder border, const std::string& name) {
    const std::vector<double> each = ssim_per_image(a, b, border);
    ASSERT_EQ(each.size(), 3u);
    // The reference filters in float.
    for (std::size_t i = 0; i < 3; ++i)
      EXPECT_TRUE(test::near(each[i], golden.part(name, static_cast<index_t>(i)), 2e-6)) << name;
  };
  check(SsimBorder::reflect, "ssim_each");
  check(SsimBorder::crop, "ssim_each_torchmetrics1.2.0");
  EXPECT_TRUE(test::near(ssim(a, b), golden("ssim"), 2e-6));
}

Tensor<float> noise(const Shape& shape, std::uint64_t seed) {
  Tensor<float> out(shape);  // of `shape`
  Philox(seed).fill_uniform(out.span());
  return out;
}

TEST(SsimTest, IsOneForIdenticalPicturesAndSymmetric) {
  const Tensor<float> a = noise(Shape{2, 3, 17, 23}, 1),
                      b = noise(Shape{2, 3, 17, 23}, 2);  // (B, C, H, W)
  for (const SsimBorder border : {SsimBorder::reflect, SsimBorder::crop}) {
    EXPECT_DOUBLE_EQ(ssim(a, a, border), 1.0);
    EXPECT_DOUBLE_EQ(ssim(a, b, border), ssim(b, a, border));
    EXPECT_LT(ssim(a, b, border), 0.2);
  }
}

TEST(SsimTest, ConstantPicturesHaveOnlyTheLuminanceTerm) {
  const Tensor<float> a(Shape{1, 1, 12, 12}, 0.5f), b(Shape{1, 1, 12, 12}, 0.25f);  // (B, C, H, W)
  const double expected = (2 * 0.5 * 0.25 + 1e-4) / (0.25 + 0.0625 + 1e-4);
  EXPECT_NEAR(ssim(a, b), expected, 1e-9);
  EXPECT_NEAR(ssim(a, b, SsimBorder::crop), expected, 1e-9);
}

TEST(SsimTest, DoesNotDependOnTheDataRange) {
  const test::Golden golden("metrics/io.safetensors");
  const Tensor<std::uint8_t> ref = golden.get<std::uint8_t>("ref"),
                             rec = golden.get<std::uint8_t>("rec");      // (3, 32, 32, 3)
  const Tensor<float> a = convert<float>(rec), b = convert<float>(ref);  // (B, H, W, C)
  EXPECT_NEAR(ssim(channels_first(a.view()), channels_first(b.view()), SsimBorder::reflect, 255.0),
              ssim(channels_first(rec.view()), channels_first(ref.view())), 1e-12);
}

TEST(SsimTest, SmallestPictures) {
  const Tensor<float> a = noise(Shape{1, 1, 6, 6}, 3),
                      b = noise(Shape{1, 1, 11, 11}, 4);  // (B, C, H, W)
  EXPECT_DOUBLE_EQ(ssim(a, a), 1.0);
  EXPECT_DOUBLE_EQ(ssim(b, b, SsimBorder::crop), 1.0);
  EXPECT_THROW((void)ssim(a, a, SsimBorder::crop), ShapeError);
  const Tensor<float> tiny = noise(Shape{1, 1, 5, 20}, 5);  // (B, C, H, W)
  EXPECT_THROW((void)ssim(tiny, tiny), ShapeError);
}

TEST(SsimTest, RejectsInvalidArguments) {
  const Tensor<float> a(Shape{1, 3, 16, 16}, 0.5f);  // (B, C, H, W)
  EXPECT_THROW((void)ssim(a, Tensor<float>(Shape{1, 3, 16, 17}, 0.5f)), ShapeError);
  EXPECT_THROW((void)ssim(Tensor<float>(), Tensor<float>()), ShapeError);
  EXPECT_THROW(
      (void)ssim(Tensor<float>(Shape{3, 16, 16}, 0.5f), Tensor<float>(Shape{3, 16, 16}, 0.5f)),
      ShapeError);
  EXPECT_THROW((void)ssim(a, a, SsimBorder::reflect, -1.0), ArgumentError);
  EXPECT_THROW((void)ssim(a, Tensor<float>(a.shape(), NAN)), NumericError);
  EXPECT_THROW((void)channels_first(Tensor<float>(Shape{3, 16, 16}, 0.5f).view()), ShapeError);
}

}  // namespace
}  // namespace rae
