// Targets and loss of the self-distillation against plain formulas, and a training with it.
#include "rae/train/self_distillation.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "rae/nn/initialize.hpp"
#include "rae/train/encoder_trainer.hpp"
#include "rae/train/recipe.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_recipe.hpp"
#include "support/toy_dataset.hpp"

namespace rae::test {
namespace {

Tensor<float> random_normals(const Shape& shape, std::uint64_t seed) {
  Tensor<float> out(shape);  // of `shape`
  Philox(seed).fill_normal(out.span());
  return out;
}

TEST(SelfDistillation, TargetsAreCentredAndSharpened) {
  const Tensor<float> logits(Shape{2, 3}, {1, 2, 3, 3, 2, 1});  // (R, K), of the mean (2, 2, 2)
  const Tensor<float> targets = distillation_targets(logits, .5);
  const double low = std::exp(-2.0), high = std::exp(2.0), sum = low + 1 + high;
  const double expected[] = {low / sum, 1 / sum, high / sum, high / sum, 1 / sum, low / sum};
  for (index_t i = 0; i < 6; ++i) EXPECT_NEAR(targets[i], expected[i], 1e-6);
  // An output that is large for all rows does not attract all targets.
  const Tensor<float> biased(Shape{2, 3}, {101, 2, 3, 103, 2, 1});  // (R, K)
  const Tensor<float> same = distillation_targets(biased, .5);
  for (index_t i = 0; i < 6; ++i) EXPECT_NEAR(same[i], expected[i], 1e-4);
}

TEST(SelfDistillation, LossIsHalfOfPicturesAndHalfOfMaskedPatches) {
  constexpr index_t kB = 3, kN = 4, kD = 6, kK = 5;
  DistillationHead<Var<float>> head(kD, kK);
  init_default(head, 4);
  const Var<float> tokens(random_normals({kB, kN, kD}, 1)), other(random_normals({kB, kN, kD}, 2)),
      whole(random_normals({kB, kN, kD}, 3));
  Tensor<float> masked = Tensor<float>::zeros(Shape{kB, kN});  // (B, N)
  masked[1] = masked[6] = masked[7] = 1;
  const DistillationOptions options{.weight = 1, .prototypes = kK};
  const DistillationTargets targets = teacher_targets(head, other, whole, masked, options);
  EXPECT_EQ(targets.masked, 3);
  ASSERT_EQ(targets.patches.shape(), (Shape{kB * kN, kK}));
  // -sum q log softmax(logits / temperature), for one row.
  const auto row_loss = [&](const Tensor<float>& logits, const Tensor<float>& q, index_t row) {
    double total = 0, out = 0;
    for (index_t k = 0; k < kK; ++k)
      total += std::exp(static_cast<double>(logits[row * kK + k]) / options.student_temp);
    for (index_t k = 0; k < kK; ++k)
      out -= static_cast<double>(q[row * kK + k]) *
             (static_cast<double>(logits[row * kK + k]) / options.student_temp - std::log(total));
    return out;
  };
  const Tensor<float> pictures = head.of_pictures(tokens).value(),  // (B, K)
      patches = head.of_tokens(tokens).value();                     // (B, N, K)
  double expected = 0;
  for (index_t b = 0; b < kB; ++b) expected += row_loss(pictures, targets.pictures, b) / (2 * kB);
  for (const index_t row : {1, 6, 7}) expected += row_loss(patches, targets.patches, row) / 6;
  EXPECT_NEAR(distillation_loss(head, tokens, targets, options).value()[0], expected, 1e-4);
  const DistillationTargets none =
      teacher_targets(head, other, whole, Tensor<float>::zeros(Shape{kB, kN}), options);
  expected = 0;
  for (index_t b = 0; b < kB; ++b) expected += row_loss(pictures, none.pictures, b) / (2 * kB);
  EXPECT_NEAR(distillation_loss(head, tokens, none, options).value()[0], expected, 1e-4);
}

TEST(SelfDistillation, HeadSeesTheDirectionOfTheMeanToken) {
  DistillationHead<Tensor<float>> head(6, 5);
  init_default(head, 4);
  const Tensor<float> tokens = random_normals({2, 4, 6}, 1);  // (B, N, D)
  Tensor<float> mean = Tensor<float>::zeros(Shape{2, 1, 6});  // (B, 1, D)
  for (index_t b = 0; b < 2; ++b)
    for (index_t n = 0; n < 4; ++n)
      for (index_t d = 0; d < 6; ++d) mean[b * 6 + d] += tokens[(b * 4 + n) * 6 + d] / 4;
  const Tensor<float> got = head.of_pictures(tokens),  // (B, K)
      expected = head.of_tokens(mean);                 // (B, 1, K)
  ASSERT_EQ(got.shape(), (Shape{2, 5}));
  for (index_t i = 0; i < 10; ++i) EXPECT_NEAR(got[i], expected[i], 1e-5);
}

const EncoderConfig kConfig{.family = EncoderFamily::siglip2,
                            .patch_size = 4,
                            .channels = 3,
                            .hidden_size = 8,
                            .num_layers = 1,
                            .num_heads = 2,
                            .intermediate_size = 16,
                            .table_h = 2,
                            .table_w = 2};

PretrainingOptions distilling() {
  PretrainingOptions o;
  o.pixel_weight = o.label_weight = 0;
  o.distillation = {.weight = 1, .prototypes = 16, .teacher_momentum = .9};
  o.augmentation = {.shift = 1, .flip = true};
  return o;
}

std::vector<float> train(const PretrainingOptions& pretraining, TrainingContext context,
                         std::vector<double>* losses = nullptr, index_t steps = 6) {
  const auto data = OwnedPointer<ToyDataset>::make(40, 8, 4, 3);
  if (losses != nullptr)
    context.on_progress = [&, losses](const TrainingProgress& p) {
      losses->push_back(p.loss);
      return true;
    };
  context.held_out = data;
  auto encoder = train_encoder(data, kConfig, {}, pretraining,
                               {.steps = steps,
                                .batch_size = 10,
                                .lr = 3e-3,
                                .final_lr = 0,
                                .seed = 1,
                                .log_every = 1,
                                .checkpoint_every = 2},
                               context);
  std::vector<float> out;
  encoder.parameters([&](const std::string&, Parameter<Tensor<float>>& p) {
    if (!p.empty()) out.insert(out.end(), p.tensor().span().begin(), p.tensor().span().end());
  });
  return out;
}

TEST(SelfDistillation, TrainsWithoutLabelsAndPixels) {
  std::vector<double> losses;
  (void)train(distilling(), {}, &losses, 150);
  const auto mean = [&](std::size_t begin, std::size_t end) {
    double sum = 0;
    for (std::size_t i = begin; i < end; ++i) sum += losses[i] / static_cast<double>(end - begin);
    return sum;
  };
  EXPECT_LT(mean(140, 150), mean(0, 10));
  // All tasks together.
  PretrainingOptions all = distilling();
  all.pixel_weight = all.label_weight = 1;
  EXPECT_NE(train(all, {}), train(distilling(), {}));
}

TEST(SelfDistillation, AContinuedRunEqualsAnUninterruptedOneBitForBit) {
  const TempFolder folder;
  const std::vector<float> whole = train(distilling(), {});
  TrainingContext context;
  context.folder = folder.path();
  index_t asked = 0;
  context.should_stop = [&] { return ++asked == 3; };
  EXPECT_THROW(train(distilling(), context), Cancelled);
  context.should_stop = {};
  EXPECT_EQ(train(distilling(), context), whole);
}

TEST(SelfDistillation, RefusesOptionsThatDoNotFit) {
  PretrainingOptions mixed = distilling();
  mixed.mix.mixup_alpha = 1;
  EXPECT_THROW(train(mixed, {}), ConfigError);
  for (const DistillationOptions& wrong : {DistillationOptions{.weight = -1},
                                           {.prototypes = 1},
                                           {.student_temp = 0},
                                           {.teacher_temp = -1},
                                           {.teacher_momentum = 1}})
    EXPECT_THROW(require_distillation(wrong), ArgumentError);
  const auto parse = [](const char* pretraining) {
    ConfigNode node = ConfigNode::parse_yaml(kTinyRecipe, "tiny.yaml");
    node.apply_override(concat("encoder.pretraining=", pretraining));
    return parse_recipe(node).pretraining.distillation;
  };
  EXPECT_EQ(parse("{distillation_weight: 0.5, teacher_momentum: 0.99}").teacher_momentum, .99);
  EXPECT_EQ(parse("{distillation_weight: 0.5, distillation_prototypes: 64}").prototypes, 64);
  EXPECT_THROW(parse("{distillation_weight: 0.5, mixup_alpha: 1}"), ConfigError);
  EXPECT_THROW(parse("{teacher_temp: 0}"), ConfigError);
}

}  // namespace
}  // namespace rae::test
