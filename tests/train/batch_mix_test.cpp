// Mixed pictures have the shares of their classes, and depend only on the samples.
#include "rae/train/batch_mix.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "rae/train/encoder_trainer.hpp"
#include "rae/train/recipe.hpp"
#include "support/tiny_recipe.hpp"
#include "support/toy_dataset.hpp"

namespace rae::test {
namespace {

/// Pictures (B + 1, 2, 6, 5) whose samples are the number of the picture; classes count up from 0.
Batch numbered(index_t count, std::uint64_t first = 0) {
  Batch out{Tensor<float>(Shape{count + 1, 2, 6, 5}), {}, first};
  for (index_t b = 0; b <= count; ++b) {
    out.labels.push_back(b);
    for (index_t i = 0; i < 60; ++i) out.images[b * 60 + i] = static_cast<float>(b);
  }
  return out;
}

TEST(BatchMix, BlendsPicturesAndClassesInTheSameProportion) {
  constexpr index_t kCount = 400;
  const MixedBatch mixed =
      mix_with_next(numbered(kCount), kCount + 1, {.mixup_alpha = .4, .mixup_prob = .5}, 0, 3);
  ASSERT_EQ(mixed.images.shape(), (Shape{kCount, 2, 6, 5}));
  index_t same = 0;
  for (index_t b = 0; b < kCount; ++b) {
    const float own = mixed.targets[b * (kCount + 1) + b],
                other = mixed.targets[b * (kCount + 1) + b + 1];
    EXPECT_NEAR(own + other, 1, 1e-6);
    for (index_t i = 0; i < 60; ++i)
      ASSERT_NEAR(mixed.images[b * 60 + i], static_cast<float>(b) + other, 1e-4);
    same += other == 0;
  }
  EXPECT_NEAR(static_cast<double>(same), 200, 40);
}

TEST(BatchMix, PastesARectangleWhoseAreaIsTheShare) {
  constexpr index_t kCount = 300;
  const MixedBatch mixed = mix_with_next(numbered(kCount), kCount + 1, {.cutmix_alpha = 1}, 0, 3);
  double mean = 0;
  for (index_t b = 0; b < kCount; ++b) {
    index_t pasted = 0;
    for (index_t i = 0; i < 30; ++i) {
      const float sample = mixed.images[b * 60 + i];
      ASSERT_EQ(sample, mixed.images[b * 60 + 30 + i]);
      ASSERT_TRUE(sample == static_cast<float>(b) || sample == static_cast<float>(b + 1));
      pasted += sample != static_cast<float>(b);
    }
    EXPECT_NEAR(mixed.targets[b * (kCount + 1) + b + 1], static_cast<double>(pasted) / 30, 1e-6);
    mean += static_cast<double>(pasted) / 30 / kCount;
  }
  // The mean over all centres and a uniform share; parts are cut off at the border.
  double expected = 0;
  constexpr int kShares = 10000;
  for (int i = 0; i < kShares; ++i) {
    const double side = std::sqrt((i + .5) / kShares);
    const auto mean_of = [&](int extent) {
      const int half = static_cast<int>(side * extent) / 2;
      double sum = 0;
      for (int centre = 0; centre < extent; ++centre)
        sum += std::min(centre + half, extent) - std::max(centre - half, 0);
      return sum / (extent * extent);
    };
    expected += mean_of(6) * mean_of(5) / kShares;
  }
  EXPECT_NEAR(expected, .1984, 1e-3);
  EXPECT_NEAR(mean, expected, .03);
}

TEST(BatchMix, ChoosesBetweenTheTwo) {
  constexpr index_t kCount = 400;
  const auto pasted = [&](double probability) {
    const MixedBatch mixed = mix_with_next(
        numbered(kCount), kCount + 1,
        {.mixup_alpha = 1, .cutmix_alpha = 1, .mixup_switch_prob = probability}, 0, 3);
    index_t out = 0;
    for (index_t b = 0; b < kCount; ++b) {
      bool whole = true;
      for (index_t i = 0; i < 30; ++i)
        whole = whole && std::floor(mixed.images[b * 60 + i]) == mixed.images[b * 60 + i];
      out += whole;
    }
    return out;
  };
  EXPECT_EQ(pasted(1), kCount);
  EXPECT_EQ(pasted(0), 0);
  EXPECT_NEAR(static_cast<double>(pasted(.25)), 100, 35);
}

TEST(BatchMix, DependsOnlyOnTheNumbersOfTheSamples) {
  const MixOptions how{.mixup_alpha = .2, .cutmix_alpha = 1, .mixup_prob = .8};
  const auto data = OwnedPointer<ToyDataset>::make(40, 8, 4, 3);
  Batches batches(data, 8, 5, {.flip = true});
  for (const index_t i : {0, 4}) {  // the last picture of batch 4 is mixed with one of epoch 1
    const MixedBatch whole = mix_with_next(batches(i, 0, 9), 4, how, .1, 5),
                     part = mix_with_next(batches(i, 3, 9), 4, how, .1, 5);
    EXPECT_EQ(part.first, whole.first + 3);
    for (index_t k = 0; k < part.images.numel(); ++k)
      ASSERT_EQ(part.images[k], whole.images[3 * 3 * 64 + k]);
    for (index_t k = 0; k < part.targets.numel(); ++k)
      ASSERT_EQ(part.targets[k], whole.targets[3 * 4 + k]);
  }
}

TEST(BatchMix, SmoothsTheTargets) {
  const MixedBatch mixed = mix_with_next(numbered(3), 4, {.mixup_alpha = 1}, .2, 3);
  for (index_t b = 0; b < 3; ++b) {
    double sum = 0;
    for (index_t k = 0; k < 4; ++k) {
      sum += static_cast<double>(mixed.targets[b * 4 + k]);
      if (k == b || k == b + 1) continue;
      EXPECT_NEAR(mixed.targets[b * 4 + k], .05, 1e-7);
    }
    EXPECT_NEAR(sum, 1, 1e-6);
  }
}

TEST(BatchMix, SharesHaveTheMomentsOfTheBetaDistribution) {
  for (const double alpha : {.1, .4, 1.0, 5.0}) {
    SCOPED_TRACE(alpha);
    constexpr int kDraws = 20000;
    double sum = 0, squares = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double share = draw_beta(alpha, Philox(2, static_cast<std::uint64_t>(i)), 16);
      ASSERT_TRUE(share >= 0 && share <= 1);
      sum += share / kDraws;
      squares += (share - .5) * (share - .5) / kDraws;
    }
    const double variance = 1 / (4 * (2 * alpha + 1));
    EXPECT_NEAR(sum, .5, 5 * std::sqrt(variance / kDraws));
    EXPECT_NEAR(squares, variance, .04 * variance);
  }
}

TEST(BatchMix, RefusesWhatItCannotMix) {
  EXPECT_THROW(require_mix({.mixup_alpha = -1}), ArgumentError);
  EXPECT_THROW(require_mix({.cutmix_alpha = 1e9}), ArgumentError);
  EXPECT_THROW(require_mix({.mixup_prob = 1.1}), ArgumentError);
  EXPECT_THROW((void)mix_with_next(numbered(0), 1, {.mixup_alpha = 1}, 0, 1), ArgumentError);
  EXPECT_THROW((void)mix_with_next(numbered(2), 2, {.mixup_alpha = 1}, 0, 1), ArgumentError);
}

TEST(BatchMix, TrainsAnEncoderWhoseRunIsRepeatable) {
  const auto data = OwnedPointer<ToyDataset>::make(40, 8, 4, 3);
  const EncoderConfig config{.family = EncoderFamily::siglip2,
                             .patch_size = 4,
                             .channels = 3,
                             .hidden_size = 8,
                             .num_layers = 1,
                             .num_heads = 2,
                             .intermediate_size = 16,
                             .table_h = 2,
                             .table_w = 2};
  const auto train = [&](const PretrainingOptions& pretraining) {
    TrainingContext context;
    double loss = 0;
    context.on_progress = [&](const TrainingProgress& p) { return loss = p.loss, true; };
    (void)train_encoder(data, config, {}, pretraining,
                        {.steps = 4, .batch_size = 8, .seed = 1, .log_every = 1}, context);
    return loss;
  };
  PretrainingOptions mixed, smoothed;
  mixed.mix = {.mixup_alpha = .8, .cutmix_alpha = 1};
  smoothed.label_smoothing = .1;
  EXPECT_EQ(train(mixed), train(mixed));
  EXPECT_NE(train(mixed), train({}));
  EXPECT_NE(train(smoothed), train({}));
  // Nothing is mixed with probability 0, and the last picture of a batch has a next one.
  PretrainingOptions none = mixed;
  none.mix.mixup_prob = 0;
  EXPECT_EQ(train(none), train({}));
  none.mix.mixup_prob = 1e-9;
  EXPECT_NEAR(train(none), train({}), 1e-6);
}

TEST(BatchMix, IsReadFromRecipes) {
  const auto parse = [](const char* change) {
    ConfigNode node = ConfigNode::parse_yaml(kTinyRecipe, "tiny.yaml");
    node.apply_override(concat("encoder.pretraining.", change));
    return parse_recipe(node).pretraining;
  };
  EXPECT_EQ(parse("mixup_alpha=0.8").mix.mixup_alpha, .8);
  EXPECT_EQ(parse("cutmix_alpha=1").mix.cutmix_alpha, 1);
  EXPECT_EQ(parse("mixup_switch_prob=0.3").mix.mixup_switch_prob, .3);
  EXPECT_EQ(parse("label_smoothing=0.1").label_smoothing, .1);
  EXPECT_FALSE(parse("label_smoothing=0.1").mix.mixes());
  for (const char* wrong : {"mixup_alpha=-1", "mixup_prob=2", "label_smoothing=2", "mixup=1"})
    EXPECT_THROW(parse(wrong), ConfigError) << wrong;
}

}  // namespace
}  // namespace rae::test
