// The operations of RandAugment against values by hand from torchvision's definitions.
#include "rae/train/rand_augment.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "rae/train/recipe.hpp"
#include "support/tiny_recipe.hpp"
#include "support/toy_dataset.hpp"

namespace rae::test {
namespace {

using Pixels = std::vector<float>;

/// A gray picture of 3 x 4 after an operation.
Pixels after(AugmentOp op, double strength, Pixels image, double fill = 0) {
  apply_augment_op(image, 1, 3, static_cast<index_t>(image.size()) / 3, op, strength, fill);
  return image;
}

void expect_near(const Pixels& got, const Pixels& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], wanted[i], 1e-6) << i;
}

const Pixels kRamp{.01f, .02f, .03f, .04f, .05f, .06f, .07f, .08f, .09f, .10f, .11f, .12f};

TEST(RandAugment, MovesPixels) {
  EXPECT_EQ(after(AugmentOp::identity, 0, kRamp), kRamp);
  expect_near(after(AugmentOp::translate_x, 1.9, kRamp, .5),
              {.5f, .01f, .02f, .03f, .5f, .05f, .06f, .07f, .5f, .09f, .10f, .11f});
  expect_near(after(AugmentOp::translate_x, -1.9, kRamp),
              {.02f, .03f, .04f, 0, .06f, .07f, .08f, 0, .10f, .11f, .12f, 0});
  expect_near(after(AugmentOp::translate_y, 2, kRamp),
              {0, 0, 0, 0, 0, 0, 0, 0, .01f, .02f, .03f, .04f});
  // Rows are moved by 0.2, 0.6 and 1 pixels, so the centres of pixels by 0, 1 and 1.
  expect_near(after(AugmentOp::shear_x, .4, kRamp),
              {.01f, .02f, .03f, .04f, .06f, .07f, .08f, 0, .10f, .11f, .12f, 0});
  expect_near(after(AugmentOp::shear_y, .4, kRamp),
              {.01f, .06f, .07f, .08f, .05f, .10f, .11f, .12f, .09f, 0, 0, 0});
}

TEST(RandAugment, TurnsAnticlockwise) {
  const Pixels square{1, 2, 3, 4, 5, 6, 7, 8, 9};
  expect_near(after(AugmentOp::rotate, 0, square), square);
  expect_near(after(AugmentOp::rotate, 90, square), {3, 6, 9, 2, 5, 8, 1, 4, 7});
  expect_near(after(AugmentOp::rotate, -90, square), {7, 4, 1, 8, 5, 2, 9, 6, 3});
  expect_near(after(AugmentOp::rotate, 180, square), {9, 8, 7, 6, 5, 4, 3, 2, 1});
}

TEST(RandAugment, ChangesSamples) {
  const Pixels image{.1f, .2f, .8f};  // (1, 3, 1)
  expect_near(after(AugmentOp::brightness, .5, image), {.15f, .3f, 1});
  expect_near(after(AugmentOp::color, .5, image), image);
  const float mean = 1.1f / 3;
  expect_near(after(AugmentOp::contrast, -.5, image),
              {.05f + mean / 2, .1f + mean / 2, .4f + mean / 2});
  expect_near(after(AugmentOp::solarize, 51, image), {.1f, .8f, .2f});
  expect_near(after(AugmentOp::solarize, 255, image), image);
  expect_near(after(AugmentOp::auto_contrast, 0, image), {0, 1.0f / 7, 1});
  expect_near(after(AugmentOp::auto_contrast, 0, {.3f, .3f, .3f}), {.3f, .3f, .3f});
  // 0xff, 0x81 and 0x3c keep the upper 2 bits.
  expect_near(after(AugmentOp::posterize, 2, {1, 129 / 255.0f, 60 / 255.0f}),
              {192 / 255.0f, 128 / 255.0f, 0});
  expect_near(after(AugmentOp::posterize, 8, {1, 129 / 255.0f, 60 / 255.0f}),
              {1, 129 / 255.0f, 60 / 255.0f});
  Pixels colour{1, 0, 0};  // (3, 1, 1), whose gray is 0.2989
  apply_augment_op(colour, 3, 1, 1, AugmentOp::color, -.5);
  expect_near(colour, {.5f + .14945f, .14945f, .14945f});
}

TEST(RandAugment, SharpensOnlyInside) {
  Pixels image{0, 0, 0, 0, .52f, 0, 0, 0, 0};  // smoothed: 0.2 in the middle
  expect_near(after(AugmentOp::sharpness, -1, image), {0, 0, 0, 0, .2f, 0, 0, 0, 0});
  expect_near(after(AugmentOp::sharpness, 1, image), {0, 0, 0, 0, .84f, 0, 0, 0, 0});
  expect_near(after(AugmentOp::sharpness, 1, {.1f, .9f, .3f}), {.1f, .9f, .3f});
}

TEST(RandAugment, EqualizesHistograms) {
  // 510 pixels: 255 of level 10, 128 of level 20, 127 of level 200; the step is (510 - 127) / 255.
  Pixels image;
  for (const auto& [level, count] : {std::pair(10, 255), {20, 128}, {200, 127}})
    image.insert(image.end(), static_cast<std::size_t>(count), static_cast<float>(level) / 255.0f);
  apply_augment_op(image, 1, 1, 510, AugmentOp::equalize, 0);
  expect_near({image[0], image[300], image[500]}, {0, 1, 1});
  Pixels even;
  for (int i = 0; i < 1024; ++i) even.push_back(static_cast<float>(i / 4 / 2 + 64) / 255.0f);
  apply_augment_op(even, 1, 1, 1024, AugmentOp::equalize, 0);
  // The step is (1024 - 8) / 255 = 3: level 64 + i has 8 i pixels below it.
  for (int i : {0, 1, 20, 90})
    EXPECT_NEAR(even[static_cast<std::size_t>(8 * i)],
                static_cast<float>(std::min(255, (8 * i + 1) / 3)) / 255.0f, 1e-6)
        << i;
  expect_near(after(AugmentOp::equalize, 0, {.1f, .2f, .8f}), {.1f, .2f, .8f});  // too few pixels
}

TEST(RandAugment, HasTheStrengthsOfTorchvision) {
  const RandAugment how{};  // magnitude 9 of 0 to 30
  const auto strength = [&](AugmentOp op) { return augment_strength(how, op, 331, 662); };
  EXPECT_NEAR(strength(AugmentOp::shear_x), .09, 1e-12);
  EXPECT_NEAR(strength(AugmentOp::translate_y), 45, 1e-9);
  EXPECT_NEAR(strength(AugmentOp::translate_x), 90, 1e-9);
  EXPECT_NEAR(strength(AugmentOp::rotate), 9, 1e-12);
  EXPECT_NEAR(strength(AugmentOp::sharpness), .27, 1e-12);
  EXPECT_EQ(strength(AugmentOp::posterize), 7);
  EXPECT_NEAR(strength(AugmentOp::solarize), 178.5, 1e-9);
  EXPECT_EQ(augment_strength({.magnitude = 30}, AugmentOp::posterize, 1, 1), 4);
}

TEST(RandAugment, DependsOnlyOnTheSampleAndKeepsTheRange) {
  const auto data = OwnedPointer<ToyDataset>::make(40, 8, 4, 3);
  const Augmentation how{.rand_augment = RandAugment{.num_ops = 3, .magnitude = 20}};
  Batches whole(data, 8, 5, how), plain(data, 8, 5);
  index_t changed = 0;
  for (index_t i = 0; i < 5; ++i) {
    const Batch all = whole(i), part = Batches(data, 8, 5, how)(i, 3, 8), same = plain(i);
    for (index_t k = 0; k < part.images.numel(); ++k)
      ASSERT_EQ(part.images[k], all.images[3 * 3 * 64 + k]);
    for (const float sample : all.images.span()) ASSERT_TRUE(sample >= 0 && sample <= 1);
    changed +=
        !std::equal(all.images.span().begin(), all.images.span().end(), same.images.span().begin());
  }
  EXPECT_EQ(changed, 5);
}

TEST(RandomErasing, ReplacesARectangleOfTheAskedArea) {
  const RandomErasing how{.p = .5, .scale = {.1, .3}, .ratio = {.5, 2}, .value = .25};
  index_t erased = 0;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    Pixels image(2 * 40 * 30, 1.0f);  // (2, 40, 30)
    erase_randomly(image, 40, 30, how, Philox(1, i));
    index_t top = 40, bottom = -1, left = 30, right = -1, count = 0;
    for (index_t y = 0; y < 40; ++y)
      for (index_t x = 0; x < 30; ++x) {
        const auto at = static_cast<std::size_t>(y * 30 + x);
        ASSERT_EQ(image[at], image[1200 + at]);
        if (image[at] == 1.0f) continue;
        ASSERT_EQ(image[at], .25f);
        ++count;
        top = std::min(top, y), bottom = std::max(bottom, y);
        left = std::min(left, x), right = std::max(right, x);
      }
    if (count == 0) continue;
    ++erased;
    const index_t rows = bottom - top + 1, columns = right - left + 1;
    ASSERT_EQ(count, rows * columns);
    ASSERT_NEAR(static_cast<double>(count) / 1200, .2, .12);
  }
  EXPECT_NEAR(static_cast<double>(erased), 1000, 100);
  Pixels noisy(3 * 64, 2.0f);  // (3, 8, 8)
  erase_randomly(noisy, 8, 8, {.p = 1, .scale = {.5, .5}, .ratio = {1, 1}, .noise = true},
                 Philox(1, 2));
  std::map<float, int> values;
  for (const float sample : noisy) ++values[sample];
  EXPECT_EQ(values.size(), 1u + 3 * 36);  // a square of 5.66, rounded to 6
}

TEST(RandomErasing, AndRandAugmentAreReadFromRecipes) {
  const auto parse = [](const char* augmentation) {
    ConfigNode node = ConfigNode::parse_yaml(kTinyRecipe, "tiny.yaml");
    node.apply_override(concat("encoder.pretraining.augmentation=", augmentation));
    return parse_recipe(node).pretraining.augmentation;
  };
  const Augmentation all = parse(
      "{rand_augment: {num_ops: 1, magnitude: 5, num_magnitude_bins: 11, fill: 0.5}, "
      "random_erasing: {p: 0.2, scale: [0.1, 0.2], ratio: [0.5, 2], value: random}}");
  EXPECT_EQ(all.rand_augment->num_ops, 1);
  EXPECT_EQ(all.rand_augment->num_magnitude_bins, 11);
  EXPECT_EQ(all.random_erasing->scale.highest, .2);
  EXPECT_TRUE(all.random_erasing->noise);
  EXPECT_FALSE(all.only_mirrors());
  EXPECT_EQ(parse("{rand_augment: {}}").rand_augment->magnitude, 9);
  for (const char* wrong :
       {"{rand_augment: {magnitude: 31}}", "{rand_augment: {num_magnitude_bins: 5}}",
        "{rand_augment: {num_ops: -1}}", "{rand_augment: {strength: 1}}",
        "{random_erasing: {p: 2}}", "{random_erasing: {value: black}}",
        "{random_erasing: {scale: [0.3, 0.2]}}"})
    EXPECT_THROW(parse(wrong), ConfigError) << wrong;
  EXPECT_THROW(require_augmentation({.rand_augment = RandAugment{.magnitude = 31}}), ArgumentError);
  EXPECT_THROW(require_augmentation({.random_erasing = RandomErasing{.p = 2}}), ArgumentError);
}

}  // namespace
}  // namespace rae::test
