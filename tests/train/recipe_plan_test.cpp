// Planned recipes for every size, kind of data and time: they can be read, obey Theorem 1, have 16
// to 256 tokens, and fit the time.
#include "rae/train/recipe_plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "rae/models/dit_dh.hpp"
#include "rae/train/step_time.hpp"

namespace rae::test {
namespace {

/// A machine of a constant number of operations per second, whose bf16 is faster by a factor.
StepSeconds machine(double operations_per_second, double bf16_gain = 1) {
  return [=](const Recipe& recipe, TrainingStage stage, DType dtype) {
    return training_operations(recipe, stage) / operations_per_second /
           (dtype == DType::bf16 ? bf16_gain : 1);
  };
}

PlanRequest request_for(index_t size, index_t pictures = 300) {
  PlanRequest request{.name = "shapes", .size = size};
  request.classes = {{"circle", pictures / 3}, {"square", pictures / 3}, {"star", pictures / 3}};
  request.sample.pictures = pictures;
  return request;
}

TEST(RecipePlan, EverySizeAndTimeGivesARecipeThatFits) {
  for (const index_t size : kPlannedSizes)
    for (const index_t pictures : {300, 3000, 60000})
      for (const double minutes : {3.0, 30.0, 600.0})
        for (const bool gray : {false, true}) {
          SCOPED_TRACE(concat(size, " ", pictures, " ", minutes, " ", gray));
          PlanRequest request = request_for(size, pictures);
          request.minutes = minutes;
          request.sample.gray = gray;
          const RecipePlan plan = plan_recipe(request, machine(2e11));
          const ModelConfig& model = plan.recipe.model;
          EXPECT_EQ(model.image_shape(), Shape({gray ? 1 : 3, size, size}));
          EXPECT_EQ(model.num_classes(), 3);
          const Shape latent = model.latent_shape();  // (C, h, w)
          const auto& dit = model.dit->get<DitDhConfig>();
          EXPECT_GE(dit.hidden_size[1], latent[0]);  // Theorem 1
          EXPECT_GE(latent[1] * latent[2], 16);
          EXPECT_LE(latent[1] * latent[2], 256);
          EXPECT_TRUE(plan.recipe.automatic_time_shift);
          EXPECT_EQ(plan.recipe.data.channels, gray ? 1 : 3);
          if (plan.notes.empty()) {
            EXPECT_LE(plan.minutes, minutes);
          }
          for (const TrainingOptions* t :
               {&plan.recipe.encoder_training, &plan.recipe.decoder_training,
                &plan.recipe.dit_training}) {
            EXPECT_LT(t->warmup_steps, t->steps);
            EXPECT_LE(t->checkpoint_every, t->steps);
            EXPECT_LE(1 / (1 - t->ema_decay), static_cast<double>(t->steps));
          }
          std::size_t longest = 0, start = 0;
          for (std::size_t end; (end = plan.yaml.find('\n', start)) != std::string::npos;
               start = end + 1)
            longest = std::max(longest, end - start);
          EXPECT_LE(longest, 100u);
          // Equal requests give equal recipes, to the byte.
          EXPECT_EQ(plan_recipe(request, machine(2e11)).yaml, plan.yaml);
        }
}

/// The seconds of all stages of a planned recipe, counted by hand: steps, pictures that are drawn,
/// latents, and the pictures of the k-NN accuracy.
double counted_seconds(const RecipePlan& plan, double pictures, const StepSeconds& seconds) {
  const Recipe& recipe = plan.recipe;
  double out = 0;
  const auto add = [&](TrainingStage stage, const TrainingOptions& training, double checkpoint) {
    const double checkpoints = std::ceil(static_cast<double>(training.steps) /
                                         static_cast<double>(training.checkpoint_every));
    out += static_cast<double>(training.steps) * seconds(recipe, stage, training.dtype) +
           checkpoints * checkpoint;
  };
  const double encode = seconds(recipe, TrainingStage::statistics, DType::f32);
  const double forward = seconds(recipe, TrainingStage::dit, recipe.dit_training.dtype) / 3 /
                         static_cast<double>(recipe.dit_training.batch_size);
  const double evaluations = 50 * (recipe.model.sampling.guidance.scale == 1 ? 1 : 2);
  add(TrainingStage::encoder, recipe.encoder_training, 768 * encode);
  add(TrainingStage::decoder, recipe.decoder_training, 0);
  add(TrainingStage::dit, recipe.dit_training, 48 * evaluations * forward);
  // Latents of each picture, which the statistics need, too, and of its mirror image.
  const double kinds = recipe.flow.augmentation.flip ? 2 : 1;
  return out + kinds * pictures * encode;
}

TEST(RecipePlan, KeepsTheTimeThatWasGiven) {
  for (const index_t size : kPlannedSizes)
    for (const index_t pictures : {300, 3000, 60000})
      for (const double minutes : {10.0, 20.0, 60.0})
        for (const double speed : {1e11, 3e11}) {
          SCOPED_TRACE(concat(size, " ", pictures, " ", minutes, " ", speed));
          PlanRequest request = request_for(size, pictures);
          request.minutes = minutes;
          const RecipePlan plan = plan_recipe(request, machine(speed, 1.5));
          if (!plan.notes.empty()) continue;  // they say that it takes another time
          const double counted =
              counted_seconds(plan, static_cast<double>(pictures), machine(speed, 1.5)) / 60;
          EXPECT_GE(counted, 0.7 * minutes);
          EXPECT_LE(counted, minutes);
          EXPECT_NEAR(plan.minutes, counted, 0.1 * minutes);
        }
}

TEST(RecipePlan, LeavesTimeForReadingLargePictures) {
  PlanRequest request = request_for(64, 300);
  request.minutes = 10;
  const RecipePlan small = plan_recipe(request, machine(1e11));
  EXPECT_TRUE(small.recipe.pretraining.augmentation.random_resized_crop);
  request.sample.side = 3000;  // decoded again for each crop
  request.read_seconds = 0.1;
  const RecipePlan large = plan_recipe(request, machine(1e11));
  EXPECT_FALSE(large.recipe.pretraining.augmentation.random_resized_crop);
  EXPECT_EQ(large.recipe.pretraining.augmentation.shift, 4);
  EXPECT_LT(large.recipe.dit_training.steps, small.recipe.dit_training.steps);
  EXPECT_LE(large.minutes, 10);
}

TEST(RecipePlan, SaysWhenThePicturesNeedLessTime) {
  PlanRequest request = request_for(32, 300);
  request.minutes = 6000;
  const RecipePlan plan = plan_recipe(request, machine(3e11));
  ASSERT_EQ(plan.notes.size(), 1u);
  EXPECT_NE(plan.notes[0].find("by heart"), std::string::npos);
}

TEST(RecipePlan, MoreTimeOrAFasterMachineGivesMoreStepsOrLargerNetworks) {
  PlanRequest request = request_for(32, 60000);
  const auto work = [&](double minutes, double speed) {
    request.minutes = minutes;
    const Recipe recipe = plan_recipe(request, machine(speed)).recipe;
    return static_cast<double>(recipe.dit_training.steps) *
           training_operations(recipe, TrainingStage::dit);
  };
  EXPECT_GT(work(30, 1e11), 5 * work(3, 1e11));
  EXPECT_GT(work(30, 1e11), 5 * work(30, 1e10));
}

TEST(RecipePlan, FewPicturesGetSmallNetworksAndFewSteps) {
  PlanRequest request = request_for(64, 300);
  request.minutes = 100000;
  const RecipePlan plan = plan_recipe(request, machine(1e12));
  EXPECT_EQ(plan.recipe.model.dit->get<DitDhConfig>().depth[0], 6);
  EXPECT_EQ(plan.recipe.encoder_training.steps, 8000);
  EXPECT_LT(plan.minutes, 1000);
}

TEST(RecipePlan, Bf16OnlyWhereItIsFaster) {
  EXPECT_EQ(plan_recipe(request_for(64), machine(1e11)).recipe.dit_training.dtype, DType::f32);
  EXPECT_EQ(plan_recipe(request_for(64), machine(1e11, 1.02)).recipe.dit_training.dtype,
            DType::f32);
  const Recipe recipe = plan_recipe(request_for(64), machine(1e11, 1.8)).recipe;
  EXPECT_EQ(recipe.dit_training.dtype, DType::bf16);
  EXPECT_EQ(recipe.encoder_training.dtype, DType::bf16);
}

TEST(RecipePlan, ClassNamesCannotBreakTheRecipe) {
  PlanRequest request = request_for(32);
  request.name = "a\": [\n# b";
  request.classes = {{"a\nmodel: 3", 200}, {"#", 200}, {"\xff", 200}};
  const RecipePlan plan = plan_recipe(request, machine(1e11));
  EXPECT_EQ(plan.recipe.model.name, request.name);
  request.name = "\xff";
  EXPECT_EQ(plan_recipe(request, machine(1e11)).recipe.model.name, "model");
}

TEST(RecipePlan, OneClassIsTrainedWithoutClasses) {
  PlanRequest request = request_for(32);
  request.classes = {{"photos", 300}};
  const Recipe recipe = plan_recipe(request, machine(1e11)).recipe;
  EXPECT_EQ(recipe.model.num_classes(), 1);
  EXPECT_FALSE(recipe.model.has_null_class());
  EXPECT_EQ(recipe.pretraining.label_weight, 0);
}

TEST(RecipePlan, NotesSayWhenTheTimeIsTooShort) {
  PlanRequest request = request_for(256);
  request.minutes = 0.1;
  EXPECT_EQ(plan_recipe(request, machine(1e10)).notes.size(), 2u);
  EXPECT_TRUE(plan_recipe(request_for(64), machine(1e11)).notes.empty());
}

TEST(RecipePlan, RefusesWhatIsOutOfRange) {
  EXPECT_THROW((void)plan_recipe(request_for(48), machine(1e11)), ArgumentError);
  EXPECT_THROW((void)plan_recipe(request_for(32, 0), machine(1e11)), ArgumentError);
  PlanRequest request = request_for(32);
  request.minutes = 0;
  EXPECT_THROW((void)plan_recipe(request, machine(1e11)), ArgumentError);
}

}  // namespace
}  // namespace rae::test
