// The statistics of a sample of pictures against a sum by hand, and gray against colour.
#include "rae/train/pixel_sample.hpp"

#include <cmath>
#include <filesystem>

#include "rae/io/dataset.hpp"
#include "rae/io/image.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

/// A picture of one colour.
void write_plain(const std::string& path, index_t width, index_t height, int r, int g, int b) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  Image picture(width, height, 3);
  for (std::size_t i = 0; i < picture.pixels().size(); ++i)
    picture.pixels()[i] = static_cast<std::uint8_t>(i % 3 == 0 ? r : i % 3 == 1 ? g : b);
  picture.save_png(path);
}

TEST(PixelSample, MeanAndDeviationOfEachChannel) {
  const TempFolder folder;
  write_plain(folder / "a/1.png", 20, 12, 0, 51, 102);
  write_plain(folder / "a/2.png", 20, 12, 255, 51, 204);
  const PixelSample sample =
      sample_pixels(*open_dataset(folder.path(), Split::train, {.size = 8, .channels = 3}));
  EXPECT_EQ(sample.pictures, 2);
  EXPECT_EQ(sample.side, 12);
  EXPECT_FALSE(sample.gray);
  EXPECT_NEAR(sample.pixels.mean[0], 0.5, 1e-6);
  EXPECT_NEAR(sample.pixels.std[0], 0.5, 1e-6);
  EXPECT_NEAR(sample.pixels.mean[1], 0.2, 1e-6);
  EXPECT_EQ(sample.pixels.std[1], 0.01);  // not 0, by which pixels cannot be divided
  EXPECT_NEAR(sample.pixels.mean[2], 0.6, 1e-6);
  EXPECT_NEAR(sample.pixels.std[2], 0.2, 1e-6);
}

TEST(PixelSample, PicturesWithoutColourAreGray) {
  const TempFolder folder;
  write_plain(folder / "a/1.png", 8, 8, 100, 100, 100);
  write_plain(folder / "a/2.png", 8, 8, 7, 9, 8);  // as JPEG rounds
  const auto data = open_dataset(folder.path(), Split::train, {.size = 8, .channels = 3});
  EXPECT_TRUE(sample_pixels(*data).gray);
  write_plain(folder / "b/3.png", 8, 8, 200, 100, 100);
  EXPECT_FALSE(
      sample_pixels(*open_dataset(folder.path(), Split::train, {.size = 8, .channels = 3})).gray);
}

TEST(PixelSample, AtMostSoManyPictures) {
  const TempFolder folder;
  for (int i = 0; i < 10; ++i)
    write_plain(folder / ("a/" + std::to_string(i) + ".png"), 8, 8, 10 * i, 10 * i, 10 * i);
  const auto data = open_dataset(folder.path(), Split::train, {.size = 8, .channels = 3});
  const PixelSample sample = sample_pixels(*data, 2);
  EXPECT_EQ(sample.pictures, 2);
  EXPECT_NEAR(sample.pixels.mean[0], 25.0 / 255, 1e-6);  // of pictures 0 and 5
  EXPECT_THROW((void)sample_pixels(*data, 0), ArgumentError);
  EXPECT_THROW((void)sample_pixels(*data, 2, [] { return true; }), Cancelled);
}

}  // namespace
}  // namespace rae::test
