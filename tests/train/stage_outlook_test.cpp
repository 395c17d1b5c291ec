#include "rae/train/stage_outlook.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <vector>

#include "io/file_lock.hpp"
#include "support/picture_folder.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;

class StageOutlooks : public testing::Test {
 protected:
  void SetUp() override { write_picture_folder(data_); }

  [[nodiscard]] RecipeRun run_in_folder() const {
    RecipeRun run;
    run.data = data_.path();
    run.out = out_ / "run";
    run.samples = 0;
    return run;
  }
  void train(const Recipe& recipe, const std::function<void(RecipeRun&)>& change = {}) const {
    RecipeRun run = run_in_folder();
    if (change) change(run);
    run_recipe(recipe, run);
  }

  /// All files with their times.
  [[nodiscard]] std::vector<std::pair<std::string, fs::file_time_type>> files() const {
    std::vector<std::pair<std::string, fs::file_time_type>> out;
    for (const auto& entry : fs::recursive_directory_iterator(out_.path()))
      out.emplace_back(entry.path().string(), fs::last_write_time(entry.path()));
    std::sort(out.begin(), out.end());
    return out;
  }

  /// The texts, and that nothing was written.
  std::vector<std::string> look(const Recipe& recipe,
                                const std::function<void(RecipeRun&)>& change = {}) const {
    RecipeRun run = run_in_folder();
    if (change) change(run);
    const auto before = files();
    std::vector<std::string> out;
    for (const StageOutlook& stage : outlook_of_stages(recipe, run, check_recipe(recipe, run))) {
      out.push_back(stage.text);
      EXPECT_EQ(stage.refused, stage.text.rfind("refused: ", 0) == 0) << stage.text;
    }
    EXPECT_TRUE(files() == before);
    return out;
  }

  TempFolder data_, out_;
};

using Texts = std::vector<std::string>;

TEST_F(StageOutlooks, OfANewRun) {
  EXPECT_EQ(look(three_class_recipe()),
            (Texts{"trained from the beginning, 4 steps", "trained from the beginning, 4 steps",
                   "computed after the stage encoder, if that changes",
                   "trained from the beginning, 6 steps"}));
  EXPECT_FALSE(fs::exists(out_ / "run"));
}

TEST_F(StageOutlooks, OfACompleteRunAndOneWithMoreSteps) {
  const Recipe recipe = three_class_recipe({"dit.train.decay_end_step=6"});
  train(recipe);
  EXPECT_EQ(look(recipe), (Texts{"valid: complete after 4 steps", "valid: complete after 4 steps",
                                 "valid", "valid: complete after 6 steps"}));
  EXPECT_EQ(look(three_class_recipe({"dit.train.decay_end_step=6", "dit.train.steps=9"}))[3],
            "valid: continues at step 6 of 9");
}

TEST_F(StageOutlooks, OfAStoppedRunWhileItTrains) {
  EXPECT_THROW(train(three_class_recipe(),
                     [](RecipeRun& run) {
                       run.on_progress = [](const TrainingProgress& p) {
                         return p.stage != "decoder" || p.step < 2;
                       };
                     }),
               Cancelled);
  const detail::FolderLock other(out_ / "run", "training");  // as another process
  EXPECT_EQ(look(three_class_recipe()),
            (Texts{"valid: complete after 4 steps", "valid: continues at step 2 of 4", "computed",
                   "trained from the beginning, 6 steps"}));
}

TEST_F(StageOutlooks, OfStagesThatAreStale) {
  train(three_class_recipe());
  fs::remove_all(out_ / "run/encoder");
  const Texts unknown = look(three_class_recipe({"encoder.train.lr=5e-3"}));
  EXPECT_EQ(unknown[0], "trained from the beginning, 4 steps");
  EXPECT_EQ(unknown[1],
            "its checkpoint, of step 4 of 4, is valid if the stage encoder, which runs before, "
            "gives the same result as before; else it is stale, and the stage is trained again");
  // The new encoder is there, and the later stages still belong to the old one.
  train(three_class_recipe({"encoder.train.lr=5e-3"}),
        [](RecipeRun& run) { run.stages = {TrainingStage::encoder}; });
  const Texts stale = look(three_class_recipe({"encoder.train.lr=5e-3"}));
  EXPECT_EQ(stale[0], "valid: complete after 4 steps");
  EXPECT_EQ(stale[1],
            "stale: trained again, because its checkpoint, of step 4 of 4, belongs to another "
            "encoder");
  EXPECT_EQ(stale[2], "computed");
}

TEST_F(StageOutlooks, OfARunThatWouldBeRefused) {
  train(three_class_recipe());
  const Texts other = look(three_class_recipe({"decoder.train.lr=5e-3"}));
  EXPECT_EQ(other[0], "valid: complete after 4 steps");
  EXPECT_NE(other[1].find("refused: "), std::string::npos) << other[1];
  EXPECT_NE(other[1].find("decoder.train.lr"), std::string::npos) << other[1];

  fs::rename(data_ / "small", data_ / "Aaa_small");
  const Texts renamed = look(three_class_recipe());
  EXPECT_NE(renamed[0].find("refused: "), std::string::npos) << renamed[0];
  EXPECT_NE(renamed[0].find("class 0 was 'large', is 'Aaa_small'"), std::string::npos);
}

TEST_F(StageOutlooks, OfOtherPictures) {
  train(three_class_recipe({"data.held_out=0"}));
  fs::remove(data_ / "small/3.png");
  const Recipe recipe = three_class_recipe({"data.held_out=0"});
  const Texts refused = look(recipe);
  EXPECT_NE(refused[0].find("--accept-data-change"), std::string::npos) << refused[0];
  const Texts accepted = look(recipe, [](RecipeRun& run) { run.accept_data_change = true; });
  EXPECT_EQ(accepted[0],
            "valid: complete after 4 steps, with other pictures: 1 picture removed (small/3.png)");
  EXPECT_EQ(accepted[2], "valid: kept, although the pictures changed");
}

TEST_F(StageOutlooks, OfAStageWithoutItsPredecessor) {
  const Texts alone =
      look(three_class_recipe(), [](RecipeRun& run) { run.stages = {TrainingStage::decoder}; });
  EXPECT_NE(alone[0].find("run the stage encoder first"), std::string::npos) << alone[0];
}

}  // namespace
}  // namespace rae::test
