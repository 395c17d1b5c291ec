#include "rae/kernels/resize.hpp"

#include "rae/kernels/reference/resize.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::random_tensor;

template <class T>
Tensor<T> resized(const Tensor<T>& image, Resize method, index_t h, index_t w) {
  Tensor<T> out(Shape{image.extent(0), image.extent(1), h, w});  // (B, C, h, w)
  resize<T>(image, method, out);
  return out;
}

constexpr Resize kMethods[] = {Resize::nearest, Resize::bilinear, Resize::bicubic,
                               Resize::bicubic_antialias};

struct Size {
  index_t h_in, w_in, h_out, w_out;
};
constexpr Size kSizes[] = {{1, 1, 3, 5},  {5, 3, 1, 1},  {7, 9, 7, 9},     {13, 6, 4, 11},
                           {2, 3, 17, 8}, {16, 1, 5, 2}, {120, 5, 101, 4}, {30, 2, 110, 50}};

struct Case {
  const char *in, *out;
  Resize method;
};

class ResizeGolden : public testing::TestWithParam<Case> {};

TEST_P(ResizeGolden, Matches) {
  const test::Golden golden("interpolate/io.safetensors");
  const Tensor<float> expected = golden(GetParam().out);  // (B, C, h, w)
  EXPECT_TRUE(close(
      resized(golden(GetParam().in), GetParam().method, expected.extent(2), expected.extent(3)),
      expected, 1e-5));
}

INSTANTIATE_TEST_SUITE_P(
    Interpolate, ResizeGolden,
    testing::Values(Case{"b32", "b32_to_28_bicubic", Resize::bicubic},
                    Case{"b32", "b32_to_56_bicubic", Resize::bicubic},
                    Case{"c14", "c14_to_16_bicubic", Resize::bicubic},
                    Case{"d37", "d37_to_16_bicubic_aa", Resize::bicubic_antialias},
                    Case{"d37", "d37_to_32_bicubic_aa", Resize::bicubic_antialias},
                    Case{"a9", "a9_to_4_bicubic_aa", Resize::bicubic_antialias},
                    Case{"a9", "a9_to_14_bicubic_aa", Resize::bicubic_antialias},
                    Case{"b32", "b32_to_20_bilinear", Resize::bilinear},
                    Case{"a9", "a9_to_6_bilinear", Resize::bilinear}),
    [](const auto& test) { return std::string(test.param.out); });

TEST(Resize, LargeBilinearGolden) {
  const test::Golden golden("interpolate/io.safetensors");
  const Tensor<float> big = resized(golden("b32"), Resize::bilinear, 224, 224),
                      expected = golden("b32_to_224_bilinear");  // (1, C, 224, 224), (B, C, h, w)
  Tensor<float> sampled(expected.shape());  // every 16th pixel of the first channel
  for (index_t y = 0; y < 14; ++y)
    for (index_t x = 0; x < 14; ++x) sampled[y * 14 + x] = big[(y * 224 + x) * 16];
  EXPECT_TRUE(close(sampled, expected, 1e-5));
}

TEST(Resize, AgreesWithReference) {
  for (const Resize method : kMethods)
    for (const Size& s : kSizes) {
      const Tensor<double> image =
          random_tensor<double>({2, 3, s.h_in, s.w_in}, 1);    // (B, C, H, W)
      Tensor<double> expected(Shape{2, 3, s.h_out, s.w_out});  // (2, 3, Ho, Wo)
      reference::resize<double>(image, method, expected);
      EXPECT_TRUE(close(resized(image, method, s.h_out, s.w_out), expected, 1e-13))
          << s.h_in << " to " << s.h_out;
    }
}

TEST(Resize, BackwardAgreesWithReferenceAndIsTheAdjoint) {
  for (const Resize method : kMethods)
    for (const Size& s : kSizes) {
      // (1, 2, Hi, Wi), (1, 2, Ho, Wo)
      const Tensor<double> image = random_tensor<double>({1, 2, s.h_in, s.w_in}, 1),
                           dout = random_tensor<double>({1, 2, s.h_out, s.w_out}, 2);
      Tensor<double> dimage(image.shape(), 7.0), expected(image.shape());  // (1, 2, Hi, Wi) each
      resize_backward<double>(dout, method, dimage);
      reference::resize_backward<double>(dout, method, expected);
      EXPECT_TRUE(close(dimage, expected, 1e-12)) << s.h_in << " to " << s.h_out;
      EXPECT_NEAR(test::dot(image, dimage),
                  test::dot(resized(image, method, s.h_out, s.w_out), dout), 1e-11);
    }
}

TEST(Resize, SameSizeIsTheIdentity) {
  const Tensor<float> image = random_tensor<float>({1, 3, 6, 7}, 3);  // (1, 3, 6, 7)
  for (const Resize method : kMethods) EXPECT_TRUE(close(resized(image, method, 6, 7), image, 0.0));
}

TEST(Resize, KeepsConstants) {
  for (const Resize method : kMethods) {
    // (B, C, h, w)
    const Tensor<double> out = resized(Tensor<double>(Shape{1, 1, 9, 5}, 3.0), method, 4, 12);
    EXPECT_TRUE(close(out, Tensor<double>(Shape{1, 1, 4, 12}, 3.0), 1e-14));
  }
}

TEST(Resize, ThreadCountDoesNotChangeABit) {
  const Tensor<float> image = random_tensor<float>({2, 3, 96, 80}, 4);  // (2, 3, 96, 80)
  for (const Resize method : kMethods) {
    EXPECT_TRUE(test::same_on_every_thread_count([&] { return resized(image, method, 120, 110); }));
    EXPECT_TRUE(test::same_on_every_thread_count([&] {
      Tensor<float> dimage(Shape{2, 3, 150, 60});  // (2, 3, 150, 60)
      resize_backward<float>(image, method, dimage);
      return dimage;
    }));
  }
}

TEST(Resize, RejectsShapes) {
  const Tensor<float> image(Shape{1, 2, 4, 4}, 1.0f);  // (1, 2, 4, 4)
  Tensor<float> out(Shape{1, 3, 2, 2}, 5.0f), empty(Shape{1, 2, 0, 2}), matrix(Shape{4, 4}, 5.0f),
      good(Shape{1, 2, 4, 4}, 5.0f);  // (1, 3, 2, 2), (1, 2, 0, 2), (4, 4), (1, 2, 4, 4)
  EXPECT_THROW(resize<float>(image, Resize::bicubic, out), ShapeError);
  EXPECT_THROW(resize<float>(image, Resize::bicubic, empty), ShapeError);
  EXPECT_THROW(resize<float>(image, Resize::bicubic, matrix), ShapeError);
  EXPECT_THROW(resize<float>(image.view().transposed(), Resize::bicubic, good), ShapeError);
  EXPECT_THROW(resize_backward<float>(image, Resize::bicubic, out), ShapeError);
  EXPECT_EQ(good[0], 5.0f);
}

}  // namespace
}  // namespace rae
