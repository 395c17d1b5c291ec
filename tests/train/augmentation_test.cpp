#include "rae/train/augmentation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "rae/io/dataset.hpp"
#include "rae/io/image.hpp"
#include "rae/train/batches.hpp"
#include "rae/train/recipe.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_recipe.hpp"
#include "support/toy_dataset.hpp"

namespace rae::test {
namespace {

TEST(Augmentation, RandomResizedCropsHaveTheAskedAreaAndProportions) {
  const RandomResizedCrop how{{0.3, 0.8}, {0.75, 4.0 / 3}};
  std::set<index_t> left;
  double smallest = 1, largest = 0;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const PixelBox box = random_crop_box(how, 200, 160, Philox(1, i));
    ASSERT_GE(box.x, 0);
    ASSERT_GE(box.y, 0);
    ASSERT_LE(box.x + box.width, 200);
    ASSERT_LE(box.y + box.height, 160);
    const double area = static_cast<double>(box.width * box.height) / (200 * 160),
                 ratio = static_cast<double>(box.width) / static_cast<double>(box.height);
    ASSERT_GT(area, 0.29);
    ASSERT_LT(area, 0.81);
    ASSERT_GT(ratio, 0.74);
    ASSERT_LT(ratio, 1.36);
    smallest = std::min(smallest, area);
    largest = std::max(largest, area);
    left.insert(box.x);
  }
  EXPECT_LT(smallest, 0.32);
  EXPECT_GT(largest, 0.77);
  EXPECT_GT(left.size(), 60u);
}

TEST(Augmentation, APictureTooNarrowForTheCropGivesItsCentre) {
  const PixelBox tall = random_crop_box({{1, 1}, {0.75, 4.0 / 3}}, 30, 300, Philox(1, 0));
  EXPECT_EQ(tall.width, 30);
  EXPECT_EQ(tall.height, 40);
  EXPECT_EQ(tall.y, 130);
  const PixelBox wide = random_crop_box({{1, 1}, {0.75, 4.0 / 3}}, 300, 30, Philox(1, 0));
  EXPECT_EQ(wide.width, 40);
  EXPECT_EQ(wide.x, 130);
  const PixelBox all = random_crop_box({{1, 1}, {1, 1}}, 50, 50, Philox(1, 0));
  EXPECT_EQ(all.width, 50);
  EXPECT_EQ(all.height, 50);
}

std::vector<float> jittered(std::vector<float> image, const ColorJitter& how) {
  jitter_colors(image, image.size() == 2 ? 1 : 3, how, Philox(3, 0));
  return image;
}

void expect_near(const std::vector<float>& got, const std::vector<float>& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], wanted[i], 1e-6) << i;
}

TEST(Augmentation, ColourJitterMeansWhatItDoesInTorchvision) {
  const std::vector<float> image{1, 0.2f, 0, 0.4f, 0.5f, 0.6f};  // (3, 1, 2)
  expect_near(jittered(image, {}), image);
  expect_near(jittered(image, {.brightness = {1.5, 1.5}}), {1, 0.3f, 0, 0.6f, 0.75f, 0.9f});
  // Gray of the pixels: 0.2989 + 0.057 = 0.3559, and 0.05978 + 0.2348 + 0.0684 = 0.36298.
  expect_near(jittered(image, {.saturation = {0, 0}}),
              {0.3559f, 0.36298f, 0.3559f, 0.36298f, 0.3559f, 0.36298f});
  expect_near(jittered(image, {.contrast = {0.5, 0.5}}),
              {0.67972f, 0.27972f, 0.17972f, 0.37972f, 0.42972f, 0.47972f});
  expect_near(jittered(image, {.saturation = {2, 2}}),
              {1, 0.03702f, 0, 0.43702f, 0.6441f, 0.83702f});
  // A third of a turn: red becomes green, green blue, blue red.
  expect_near(jittered(image, {.hue = {1.0 / 3, 1.0 / 3}}), {0.5f, 0.6f, 1, 0.2f, 0, 0.4f});
  expect_near(jittered(jittered(image, {.hue = {0.2, 0.2}}), {.hue = {-0.2, -0.2}}), image);
  // Half a turn of (1, 0, 0.5): hue 330 degrees becomes 150 degrees.
  expect_near(jittered({1, 0.5f, 0, 0.5f, 0.5f, 0.5f}, {.hue = {0.5, 0.5}}),
              {0, 0.5f, 1, 0.5f, 0.5f, 0.5f});
  expect_near(jittered({0.2f, 0.6f}, {.contrast = {2, 2}, .saturation = {0, 0}, .hue = {0.5, 0.5}}),
              {0, 0.8f});
}

TEST(Augmentation, ColourJitterDrawsFactorsAndTheirOrder) {
  std::set<std::vector<float>> seen;
  for (std::uint64_t i = 0; i < 50; ++i) {
    std::vector<float> image{0.9f, 0.2f, 0.1f, 0.4f, 0.5f, 0.6f};
    jitter_colors(image, 3, {{0.6, 1.4}, {0.6, 1.4}, {0.6, 1.4}, {-0.1, 0.1}}, Philox(3, i));
    for (const float sample : image) {
      EXPECT_GE(sample, 0);
      EXPECT_LE(sample, 1);
    }
    seen.insert(image);
  }
  EXPECT_EQ(seen.size(), 50u);
}

/// A folder with a picture of two columns of tiles, of twice the size of the data set.
void write_tiles(const TempFolder& folder) {
  std::filesystem::create_directories(folder / "a");
  Image tiles(32, 16, 3);
  for (std::size_t i = 0; i < tiles.pixels().size(); ++i)
    tiles.pixels()[i] = i / 3 % 32 < 16 ? 40 : 200;
  tiles.save_png(folder / "a/1.png");
}

TEST(Augmentation, BatchesCropTheStoredPicture) {
  const TempFolder folder;
  write_tiles(folder);
  const auto data = open_dataset(folder.path(), Split::train, {.size = 8});
  // The centre of `image` is 16 columns wide. A crop of everything shows all 32.
  const Augmentation whole{.random_resized_crop = RandomResizedCrop{{1, 1}, {2, 2}}};
  const Batch batch = Batches(data, 1, 5, whole)(0);
  EXPECT_NEAR(batch.images[0], 40 / 255.0, 1e-6);
  EXPECT_NEAR(batch.images[7], 200 / 255.0, 1e-6);
  const Augmentation random{.random_resized_crop = RandomResizedCrop{},
                            .color_jitter = ColorJitter{.brightness = {0.8, 1.2}}};
  Batches first(data, 2, 5, random), again(data, 2, 5, random);
  std::set<float> seen;
  for (index_t i = 0; i < 8; ++i) {
    (void)again((i * 3) % 8);
    const Batch a = first(i), b = again(i);
    EXPECT_TRUE(
        std::equal(a.images.span().begin(), a.images.span().end(), b.images.span().begin()));
    seen.insert(a.images[0]);
  }
  EXPECT_GT(seen.size(), 4u);
}

/// A picture of 3 x 4 whose pixels count up from 1.
class Ramp final : public ImageDataset {
 public:
  index_t size() const override { return 1; }
  int channels() const override { return 1; }
  index_t height() const override { return 3; }
  index_t width() const override { return 4; }
  const std::vector<std::string>& class_names() const override { return names_; }

 protected:
  void load(index_t, std::span<float> out, std::uint64_t) const override {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(i + 1);
  }
  index_t load_label(index_t) const override { return 0; }

 private:
  std::vector<std::string> names_{"ramp"};
};

TEST(Augmentation, BordersAreBlackOrMirrored) {
  const auto data = OwnedPointer<Ramp>::make();
  std::set<std::vector<float>> black, mirrored;
  for (index_t i = 0; i < 60; ++i) {
    const Batch dark = Batches(data, 1, 5, {.shift = 2})(i),
                bright = Batches(data, 1, 5, {.shift = 2, .reflect = true})(i);
    black.emplace(dark.images.span().begin(), dark.images.span().end());
    mirrored.emplace(bright.images.span().begin(), bright.images.span().end());
    for (index_t k = 0; k < 12; ++k) {
      EXPECT_GT(bright.images[k], 0);
      EXPECT_TRUE(dark.images[k] == 0 || dark.images[k] == bright.images[k]) << k;
    }
  }
  EXPECT_GT(mirrored.size(), 15u);  // some mirror images of so small a picture are equal
  // Two to the right and one up: rows 2, 3, 2 and columns 3, 2, 1, 2.
  EXPECT_EQ(mirrored.count({7, 6, 5, 6, 11, 10, 9, 10, 7, 6, 5, 6}), 1u);
  EXPECT_EQ(black.count({0, 0, 5, 6, 0, 0, 9, 10, 0, 0, 0, 0}), 1u);
}

TEST(Augmentation, CutoutIsASquareAroundAPixel) {
  std::set<float> counts;
  for (std::uint64_t i = 0; i < 200; ++i) {
    std::vector<float> image(2 * 6 * 5, 1.0f);  // (2, 6, 5)
    cut_out(image, 6, 5, 3, Philox(1, i));
    float gone = 0;
    for (std::size_t p = 0; p < 30; ++p) {
      EXPECT_EQ(image[p], image[30 + p]) << "the channels have the same hole";
      EXPECT_TRUE(image[p] == 1.0f || image[p] == 0.5f);
      gone += image[p] == 0.5f ? 1.0f : 0.0f;
    }
    counts.insert(gone);
  }
  EXPECT_EQ(counts, (std::set<float>{4, 6, 9}));  // at a corner, at an edge, inside
  const auto data = OwnedPointer<Ramp>::make();
  EXPECT_THROW(Batches(data, 1, 5, {.cutout = -1}), ArgumentError);
  const Batch batch = Batches(data, 1, 5, {.cutout = 1})(0);
  EXPECT_EQ(std::count(batch.images.span().begin(), batch.images.span().end(), 0.5f), 1);
}

TEST(Augmentation, OtherDataSetsCropTheirPictures) {
  const auto data = OwnedPointer<ToyDataset>::make(4, 8, 4);
  std::vector<float> image(64), part(64);
  data->image(1, image);
  data->part(1, part, 0, [](index_t width, index_t height) {
    return PixelBox{0, 0, width, height};
  });
  for (std::size_t i = 0; i < 64; ++i) EXPECT_NEAR(part[i], image[i], 0.5 / 255 + 1e-6);
  EXPECT_THROW(data->part(1, part, 0,
                          [](index_t, index_t) {
                            return PixelBox{0, 0, 9, 9};
                          }),
               ArgumentError);
  EXPECT_THROW(data->part(4, part, 0, {}), ArgumentError);
}

TEST(Augmentation, RecipesNameThemAsTorchvisionDoes) {
  ConfigNode node = ConfigNode::parse_yaml(kTinyRecipe, "tiny.yaml");
  const auto set = [&](const char* yaml) {
    node.set_path("encoder.pretraining.augmentation", ConfigNode::parse_yaml(yaml));
    return parse_recipe(node).pretraining.augmentation;
  };
  const Augmentation all = set(
      "{flip: true, random_resized_crop: {scale: [0.8, 1], ratio: [0.75, 1.333]}, color_jitter: "
      "{brightness: 0.4, contrast: [0.5, 2], saturation: 2, hue: 0.1}}");
  EXPECT_EQ(all.random_resized_crop->scale.lowest, 0.8);
  EXPECT_EQ(all.random_resized_crop->ratio.highest, 1.333);
  EXPECT_EQ(all.color_jitter->brightness.lowest, 0.6);
  EXPECT_EQ(all.color_jitter->brightness.highest, 1.4);
  EXPECT_EQ(all.color_jitter->contrast.highest, 2);
  EXPECT_EQ(all.color_jitter->saturation.lowest, 0);
  EXPECT_EQ(all.color_jitter->hue.lowest, -0.1);
  EXPECT_EQ(set("{random_resized_crop: {}}").random_resized_crop->scale.lowest, 0.08);
  EXPECT_FALSE(set("{flip: true}").color_jitter);
  EXPECT_TRUE(set("{shift: 4, reflect: true}").reflect);
  EXPECT_EQ(set("{cutout: 8}").cutout, 8);
  for (const char* bad :
       {"{random_resized_crop: {scale: [0, 1]}}", "{random_resized_crop: {scale: [0.9, 0.8]}}",
        "{random_resized_crop: {scale: 0.8}}", "{random_resized_crop: {ratio: [1, 1000]}}",
        "{random_resized_crop: {size: 8}}", "{color_jitter: {hue: 0.6}}",
        "{color_jitter: {brightness: -1}}", "{color_jitter: {contrast: [1, .nan]}}",
        "{random_crop: true}", "{cutout: -1}", "{reflect: 4}"})
    EXPECT_THROW((void)set(bad), ConfigError) << bad;
  EXPECT_THROW(require_augmentation({.shift = -1}), ArgumentError);
  EXPECT_THROW(require_augmentation({.random_resized_crop = RandomResizedCrop{{0.5, 2}, {1, 1}}}),
               ArgumentError);
}

}  // namespace
}  // namespace rae::test
