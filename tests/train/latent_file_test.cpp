// A recipe gives the same model whether or not its latents are kept in a file.
#include "train/latent_file.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "rae/train/checkpoint.hpp"
#include "support/picture_folder.hpp"
#include "support/toy_dataset.hpp"
#include "train/latent_store.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;

/// Pictures that do not vary by epoch.
class FixedPictures final : public ToyDataset {
 public:
  bool varies_by_epoch() const override { return false; }
};

constexpr std::uint64_t kPlenty = std::uint64_t{1} << 40, kMegabyte = std::uint64_t{1} << 20;

bool chosen(std::initializer_list<const char*> changes, std::uint64_t room,
            const ImageDataset& data = FixedPictures()) {
  return detail::choose_latent_file(three_class_recipe(changes), data, {}, "latents", room).used;
}

TEST(LatentFile, IsUsedWhereLatentsRepeatAndTheDiskHasRoom) {
  EXPECT_TRUE(chosen({}, kPlenty));
  EXPECT_TRUE(chosen({"dit.flow.augmentation={flip: true}"}, kPlenty));
  EXPECT_TRUE(chosen({"latents={cache: auto}"}, kPlenty));
  EXPECT_TRUE(chosen({"latents={cache: true}"}, kPlenty));
  EXPECT_FALSE(chosen({"latents={cache: false}"}, kPlenty));
  EXPECT_FALSE(chosen({"dit.flow.augmentation={shift: 1}"}, kPlenty));
  EXPECT_FALSE(chosen({}, kPlenty, ToyDataset()));
  EXPECT_FALSE(chosen({}, 100 * kMegabyte));  // more than half
  EXPECT_TRUE(chosen({"latents={cache: true}"}, 100 * kMegabyte));
  EXPECT_FALSE(chosen({"latents={cache: false}"}, 0));
  EXPECT_FALSE(chosen({}, 0));
}

TEST(LatentFile, ThatCannotBeIsRefused) {
  EXPECT_THROW(chosen({"latents={cache: true}"}, 1000), FileError);
  EXPECT_THROW(chosen({"latents={cache: true}"}, kPlenty, ToyDataset()), ConfigError);
  for (const char* change : {"dit.flow.augmentation={shift: 1}", "data={flip: true}",
                             "data={random_crop: true}", "dit.flow.augmentation={cutout: 2}"})
    EXPECT_THROW(three_class_recipe({"latents={cache: true}", change}), ConfigError) << change;
  for (const char* wrong : {"latents={cache: maybe}", "latents={dtype: f16}", "latents={file: a}"})
    EXPECT_THROW(three_class_recipe({wrong}), ConfigError) << wrong;
}

class LatentFileRuns : public ::testing::Test {
 protected:
  void SetUp() override { write_picture_folder(data_); }

  RecipeRun run_into(const std::string& name) const {
    RecipeRun run;
    run.data = data_.path();
    run.out = out_ / name;
    run.samples = 0;
    return run;
  }
  std::string model(const std::string& name) const {
    return slurp(out_ / (name + "/model.safetensors"));
  }
  std::string file(const std::string& name) const { return out_ / (name + "/latents.safetensors"); }

  TempFolder data_, out_;
};

TEST_F(LatentFileRuns, GiveTheSameModel) {
  constexpr const char* kFlip = "dit.flow.augmentation={flip: true}";
  run_recipe(three_class_recipe({kFlip, "latents={cache: false}"}), run_into("memory"));
  run_recipe(three_class_recipe({kFlip, "latents={cache: true}"}), run_into("file"));
  run_recipe(three_class_recipe({kFlip}), run_into("auto"));
  EXPECT_EQ(model("file"), model("memory"));
  EXPECT_EQ(model("auto"), model("memory"));
  EXPECT_FALSE(fs::exists(file("memory")));
  EXPECT_TRUE(fs::exists(file("file")));
  EXPECT_FALSE(fs::exists(file("auto")));
}

TEST_F(LatentFileRuns, ContinueWithTheFile) {
  const Recipe recipe = three_class_recipe();
  run_recipe(recipe, run_into("whole"));
  RecipeRun run = run_into("broken");
  for (const char* stage : {"encoder", "dit"}) {
    run.on_progress = [&](const TrainingProgress& p) { return p.stage != stage || p.step < 3; };
    EXPECT_THROW(run_recipe(recipe, run), Cancelled) << stage;
  }
  EXPECT_TRUE(fs::exists(file("broken")));
  run.on_progress = {};
  run_recipe(recipe, run);
  EXPECT_EQ(model("broken"), model("whole"));
}

TEST_F(LatentFileRuns, ReplaceTheLatentsOfAnotherEncoder) {
  const auto recipe = [](const char* seed) {
    return three_class_recipe({"latents={cache: true}", seed});
  };
  run_recipe(recipe("encoder.train.seed=1"), run_into("a"));
  run_recipe(recipe("encoder.train.seed=7"), run_into("b"));
  const std::string of_first = slurp(file("a"));
  // Another encoder in the same folder.
  fs::remove_all(out_ / "a/encoder");
  run_recipe(recipe("encoder.train.seed=7"), run_into("a"));
  EXPECT_NE(slurp(file("a")), of_first);
  EXPECT_EQ(slurp(file("a")), slurp(file("b")));
  EXPECT_EQ(model("a"), model("b"));
}

TEST_F(LatentFileRuns, WithRoundedLatentsAreOtherTrainings) {
  run_recipe(three_class_recipe(), run_into("a"));
  const std::string exact = model("a");
  EXPECT_THROW(run_recipe(three_class_recipe({"latents={dtype: bf16}"}), run_into("a")),
               ConfigError);
  run_recipe(three_class_recipe({"latents={dtype: bf16}"}), run_into("file"));
  run_recipe(three_class_recipe({"latents={dtype: bf16, cache: false}"}), run_into("memory"));
  EXPECT_EQ(model("file"), model("memory"));
  EXPECT_NE(model("file"), exact);
}

}  // namespace
}  // namespace rae::test
