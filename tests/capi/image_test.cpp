// rae_image: pixels of any layout, and files.
#include "rae/io/image.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "capi/model_file.hpp"
#include "rae/rae.h"

namespace rae::test {
namespace {

/// The samples of a picture that is created, or nothing if it is refused.
std::vector<int> samples(const void* pixels, int format, std::int64_t width, std::int64_t height,
                         std::ptrdiff_t stride = 0) {
  rae_image* image = nullptr;
  if (rae_image_create(pixels, format, width, height, stride, &image) != RAE_OK) return {};
  const Image picture = taken(&image, 1).at(0);
  return {picture.pixels().begin(), picture.pixels().end()};
}

TEST(CImage, ReadsEveryFormat) {
  const std::uint8_t bytes[] = {1, 2, 3, 4, 5, 6};
  EXPECT_EQ(samples(bytes, RAE_PIXELS_GRAY8, 3, 2), (std::vector<int>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(samples(bytes, RAE_PIXELS_RGB8, 2, 1), (std::vector<int>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(samples(bytes, RAE_PIXELS_BGR8, 1, 2), (std::vector<int>{3, 2, 1, 6, 5, 4}));
  const float floats[] = {0, 1, 0.5f, -1, 2, 0.25f};
  EXPECT_EQ(samples(floats, RAE_PIXELS_GRAY_F32, 2, 3),
            (std::vector<int>{0, 255, 128, 0, 255, 64}));
  EXPECT_EQ(samples(floats, RAE_PIXELS_RGB_F32, 2, 1), (std::vector<int>{0, 255, 128, 0, 255, 64}));
  EXPECT_EQ(samples(floats, RAE_PIXELS_BGR_F32, 1, 2), (std::vector<int>{128, 255, 0, 64, 255, 0}));
}

TEST(CImage, ReadsRowsWithGapsAndFromTheBottom) {
  const std::uint8_t bytes[] = {1, 2, 99, 3, 4, 99};
  EXPECT_EQ(samples(bytes, RAE_PIXELS_GRAY8, 2, 2, 3), (std::vector<int>{1, 2, 3, 4}));
  EXPECT_EQ(samples(bytes + 3, RAE_PIXELS_GRAY8, 2, 2, -3), (std::vector<int>{3, 4, 1, 2}));
  alignas(float) unsigned char unaligned[9] = {};
  const float half = 0.5f;
  std::memcpy(unaligned + 1, &half, sizeof half);
  std::memcpy(unaligned + 5, &half, sizeof half);
  EXPECT_EQ(samples(unaligned + 1, RAE_PIXELS_GRAY_F32, 2, 1), (std::vector<int>{128, 128}));
}

TEST(CImage, RefusesWrongPixels) {
  const std::uint8_t bytes[12] = {};
  const float infinite[] = {1, INFINITY};
  rae_image* image = nullptr;
  const auto create = [&](const void* pixels, int format, std::int64_t width, std::int64_t height,
                          std::ptrdiff_t stride) {
    return rae_image_create(pixels, format, width, height, stride, &image);
  };
  EXPECT_EQ(create(nullptr, RAE_PIXELS_GRAY8, 2, 2, 0), RAE_ERROR_ARGUMENT);
  EXPECT_EQ(create(bytes, 6, 2, 2, 0), RAE_ERROR_ARGUMENT);
  EXPECT_EQ(create(bytes, -1, 2, 2, 0), RAE_ERROR_ARGUMENT);
  EXPECT_EQ(create(bytes, RAE_PIXELS_RGB8, 2, 2, 5), RAE_ERROR_ARGUMENT);
  EXPECT_EQ(create(bytes, RAE_PIXELS_RGB8, 2, 2, -5), RAE_ERROR_ARGUMENT);
  EXPECT_EQ(create(bytes, RAE_PIXELS_GRAY8, 0, 2, 0), RAE_ERROR_ARGUMENT);
  EXPECT_EQ(create(bytes, RAE_PIXELS_GRAY8, INT64_MAX, INT64_MAX, 0), RAE_ERROR_ARGUMENT);
  EXPECT_EQ(create(bytes, RAE_PIXELS_GRAY8, 2, 2, PTRDIFF_MIN), RAE_ERROR_ARGUMENT);
  EXPECT_EQ(create(infinite, RAE_PIXELS_GRAY_F32, 2, 1, 0), RAE_ERROR_NUMERIC);
  EXPECT_EQ(image, nullptr);
}

TEST(CImage, IsSavedAndLoaded) {
  const TempFolder folder;
  const std::uint8_t bytes[] = {1, 2, 3, 4, 5, 6};
  const std::string path = folder / "a.png";
  rae_image *image = nullptr, *again = nullptr;
  ASSERT_EQ(rae_image_create(bytes, RAE_PIXELS_RGB8, 1, 2, 0, &image), RAE_OK);
  ASSERT_EQ(rae_image_save(image, path.c_str()), RAE_OK);
  EXPECT_EQ(rae_image_save(image, (folder / "no/a.png").c_str()), RAE_ERROR_FILE);
  ASSERT_EQ(rae_image_load(path.c_str(), &again), RAE_OK);
  EXPECT_EQ(taken(&again, 1), taken(&image, 1));
}

}  // namespace
}  // namespace rae::test
