// Times of training steps: measured without writing files, and the count of their operations.
#include "rae/train/step_time.hpp"

#include "rae/io/dataset.hpp"
#include "support/picture_folder.hpp"

namespace rae::test {
namespace {

TEST(StepTime, MeasuresEachStageWithoutFiles) {
  const TempFolder folder;
  write_picture_folder(folder);
  const Recipe recipe = three_class_recipe();
  const auto data = open_dataset(folder.path(), Split::train, recipe.data);
  for (const TrainingStage stage :
       {TrainingStage::encoder, TrainingStage::decoder, TrainingStage::dit})
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const double seconds = measure_step(recipe, data, stage, dtype);
      EXPECT_GT(seconds, 0);
      EXPECT_LT(seconds, 10);
    }
  const double encoding = measure_step(recipe, data, TrainingStage::statistics, DType::f32);
  EXPECT_GT(encoding, 0);
  EXPECT_LT(encoding, measure_step(recipe, data, TrainingStage::encoder, DType::f32));
  EXPECT_THROW(
      (void)measure_step(recipe, data, TrainingStage::dit, DType::f32, [] { return true; }),
      Cancelled);
  EXPECT_THROW(
      (void)measure_step(recipe, data, TrainingStage::statistics, DType::f32, [] { return true; }),
      Cancelled);
  EXPECT_EQ(folder.entries().size(), 3u);  // the classes
}

TEST(StepTime, OperationsOfTheTinyEncoder) {
  // 4 tokens of 8 numbers, 1 layer: 16 * 8 of the patches, 4 * 8 * 8 of attention, 2 * 8 * 16 of
  // the feed-forward layer, and biases and norms, which count as well; 2 * 4 * 4 * 8 of attention.
  const Recipe recipe = three_class_recipe();
  const double forward = training_operations(recipe, TrainingStage::statistics) / 2;
  EXPECT_GE(forward, 4 * (16 * 8 + 4 * 8 * 8 + 2 * 8 * 16) + 2 * 4 * 4 * 8);
  EXPECT_LE(forward, 1.25 * (4 * (16 * 8 + 4 * 8 * 8 + 2 * 8 * 16) + 2 * 4 * 4 * 8));
  EXPECT_EQ(training_operations(recipe, TrainingStage::encoder), 6 * 6 * forward);
}

}  // namespace
}  // namespace rae::test
