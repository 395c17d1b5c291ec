#include "rae/metrics/psnr.hpp"

#include "support/golden.hpp"

namespace rae {
namespace {

TEST(PsnrTest, AgreesWithTheOfficialEvaluation) {
  const test::Golden golden("metrics/io.safetensors");
  const Tensor<std::uint8_t> ref = golden.get<std::uint8_t>("ref"),
                             rec = golden.get<std::uint8_t>("rec");  // (3, 32, 32, 3)
  const std::vector<double> each = psnr_per_image(rec, ref);
  ASSERT_EQ(each.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_TRUE(test::near(each[i], golden.part("psnr_each", static_cast<index_t>(i)), 1e-5));
  EXPECT_TRUE(test::near(psnr(rec, ref), golden("psnr"), 1e-5));
}

TEST(PsnrTest, RealSamplesAgreeWithBytes) {
  const test::Golden golden("metrics/io.safetensors");
  const Tensor<std::uint8_t> ref = golden.get<std::uint8_t>("ref"),
                             rec = golden.get<std::uint8_t>("rec");  // (3, 32, 32, 3)
  Tensor<float> a = convert<float>(rec), b = convert<float>(ref);    // (3, 32, 32, 3)
  EXPECT_NEAR(psnr(a, b, 255.0), psnr(rec, ref), 1e-9);
  for (float& v : a.span()) v /= 255.0f;
  for (float& v : b.span()) v /= 255.0f;
  EXPECT_NEAR(psnr(a, b), psnr(rec, ref), 1e-5);
}

TEST(PsnrTest, KnownValues) {
  const Tensor<float> zero(Shape{2, 4}, 0.0f);  // (B, N)
  const Tensor<float> other(Shape{2, 4},
                            {0.1f, 0.1f, 0.1f, 0.1f, 0.0f, 0.0f, 0.0f, 0.0f});  // (B, N)
  const std::vector<double> each = psnr_per_image(other, zero);
  EXPECT_NEAR(each[0], 20.0, 1e-6);
  EXPECT_DOUBLE_EQ(each[1], 100.0);
  EXPECT_NEAR(psnr(other, zero, 2.0), (26.0205999 + 100.0) / 2, 1e-6);
}

TEST(PsnrTest, RejectsInvalidArguments) {
  const Tensor<float> x(Shape{2, 3}, 0.0f);  // (B, N)
  EXPECT_THROW((void)psnr(x, Tensor<float>(Shape{3, 2}, 0.0f)), ShapeError);
  EXPECT_THROW((void)psnr(Tensor<float>(), Tensor<float>()), ShapeError);
  EXPECT_THROW((void)psnr(Tensor<float>(Shape{0, 3}), Tensor<float>(Shape{0, 3})), ShapeError);
  EXPECT_THROW((void)psnr(x.view().transposed(), x.view().transposed()), ShapeError);
  EXPECT_THROW((void)psnr(x, x, 0.0), ArgumentError);
  EXPECT_THROW((void)psnr(x, x, NAN), ArgumentError);
  EXPECT_THROW((void)psnr(Tensor<float>(Shape{2, 3}, NAN), x), NumericError);
  EXPECT_THROW((void)psnr(Tensor<float>(Shape{2, 3}, INFINITY), x), NumericError);
}

}  // namespace
}  // namespace rae
