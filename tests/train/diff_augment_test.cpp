#include "rae/train/diff_augment.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "rae/autograd/gradcheck.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::Golden;

DiffAugDraws golden_draws(const Golden& io, const std::string& name) {
  DiffAugDraws draws;
  const Tensor<float> groups = io(name + ".rand3");  // (3)
  std::copy_n(groups.data(), 3, draws.groups.begin());
  draws.pictures = io(name + ".rand01");
  return draws;
}

TEST(DiffAugment, Matches) {
  const Golden io("diffaug/io.safetensors");
  const ConfigNode config = test::golden_config("diffaug");
  for (const std::string name : {"official", "cutout", "p05", "blur"}) {
    const ConfigNode& node = config.at(name);
    const DiffAugOptions options{.prob = node.get<double>("prob"),
                                 .cutout = node.get<double>("cutout"),
                                 .warmup_blur = node.get<double>("warmup_blur")};
    EXPECT_TRUE(
        close(diff_augment(io("image"), options, golden_draws(io, name)), io(name + ".out"), 2e-6))
        << name;
  }
  DiffAugDraws draws;
  draws.pictures = Tensor<float>(Shape{7, 3}, 0.1f);
  EXPECT_TRUE(close(diff_augment(io("image"), {.prob = 0, .warmup_blur = 0.4}, draws),
                    io("blur_only.out"), 2e-6));
}

TEST(DiffAugment, WithoutAnyGroupPicturesStayUnchanged) {
  const Tensor<float> images = test::random_tensor<float>({2, 3, 9, 8}, 1);  // (2, 3, 9, 8)
  EXPECT_TRUE(close(diff_augment(images, {.prob = 0, .cutout = 0.5}, draw_diff_augment(2, 1, 2)),
                    images, 0));
}

TEST(DiffAugment, GradientsAgreeWithDifferences) {
  using Inputs = const std::vector<Var<double>>&;
  const DiffAugOptions options{.cutout = 0.3, .warmup_blur = 0.5};
  const DiffAugDraws draws = draw_diff_augment(2, 3, 4);
  const GradcheckResult result =
      gradcheck([&](Inputs in) { return diff_augment(in[0], options, draws); },
                {test::random_tensor<double>({2, 3, 9, 8}, 1)});
  EXPECT_LT(result.worst, 1e-8) << result.where;
}

TEST(DiffAugment, BackwardIsTheTranspose) {
  const DiffAugOptions options{.cutout = 0.3, .warmup_blur = 0.3};
  const DiffAugDraws draws = draw_diff_augment(3, 5, 0);
  const Tensor<double> x = test::random_tensor<double>({3, 3, 17, 12}, 1),
                       g = test::random_tensor<double>({3, 3, 17, 12}, 2);  // (3, 3, 17, 12) each
  // (3, 3, 17, 12)
  const Tensor<double> zero = diff_augment(Tensor<double>::zeros(x.shape()), options, draws);
  const double forward = test::dot(diff_augment(x, options, draws), g) - test::dot(zero, g);
  EXPECT_NEAR(forward, test::dot(x, diff_augment_backward(g, options, draws)), 1e-10);
}

TEST(DiffAugment, ThreadCountDoesNotChangeABit) {
  const Tensor<float> x = test::random_tensor<float>({7, 3, 12, 12}, 1);  // (7, 3, 12, 12)
  const DiffAugDraws draws = draw_diff_augment(7, 5, 0);
  EXPECT_TRUE(test::same_on_every_thread_count(
      [&] { return diff_augment(x, {.cutout = 0.2, .warmup_blur = 0.3}, draws); }));
}

TEST(DiffAugment, DrawsDependOnSeedAndStreamAndAreInTheUnitInterval) {
  const DiffAugDraws a = draw_diff_augment(5, 1, 2), b = draw_diff_augment(5, 1, 2),
                     c = draw_diff_augment(5, 1, 3);
  EXPECT_EQ(a.groups, b.groups);
  EXPECT_TRUE(close(a.pictures, b.pictures, 0));
  EXPECT_FALSE(close(a.pictures, c.pictures, 0.01));
  for (const float u : a.pictures.span()) EXPECT_TRUE(u >= 0 && u < 1);
}

TEST(DiffAugment, RejectsWrongShapesAndOptions) {
  const DiffAugDraws draws = draw_diff_augment(2, 1, 2);
  const Tensor<float> images(Shape{2, 3, 8, 8}, 0.f);  // (2, 3, 8, 8)
  EXPECT_THROW((void)diff_augment(Tensor<float>(Shape{3, 3, 8, 8}, 0.f), {}, draws), ShapeError);
  EXPECT_THROW((void)diff_augment(Tensor<float>(Shape{2, 8, 8}, 0.f), {}, draws), ShapeError);
  EXPECT_THROW((void)diff_augment(Tensor<float>(Shape{2, 3, 8, 2}, 0.f), {.warmup_blur = 1}, draws),
               ShapeError);
  EXPECT_THROW((void)diff_augment(images, {.cutout = 1.5}, draws), ArgumentError);
  EXPECT_THROW((void)diff_augment(images, {.prob = -1}, draws), ArgumentError);
  EXPECT_THROW((void)draw_diff_augment(-1, 0, 0), ArgumentError);
}

}  // namespace
}  // namespace rae
