// Fine-tuning for narrow weights in a folder of its own, beside a finished run.
#include "rae/train/quantized_run.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "rae/formats/bundle.hpp"
#include "rae/train/recipe_check.hpp"
#include "rae/train/stage_outlook.hpp"
#include "support/picture_folder.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;

class QuantizedRuns : public testing::Test {
 protected:
  void SetUp() override { write_picture_folder(data_); }

  [[nodiscard]] RecipeRun run(const std::string& name) const {
    RecipeRun out;
    out.data = data_.path();
    out.out = out_ / name;
    out.samples = 3;
    return out;
  }
  [[nodiscard]] RecipeRun dit_alone(const std::string& name) const {
    RecipeRun out = run(name);
    out.stages = {TrainingStage::dit};
    return out;
  }
  static void fine_tune(const Recipe& recipe, const RecipeRun& run, DType stored = DType::int4) {
    const QuantizedRun quantized = quantized_run(recipe, run, stored);
    run_recipe(quantized.recipe, quantized.run);
  }
  [[nodiscard]] std::string file(const std::string& name) const { return slurp(out_ / name); }

  TempFolder data_, out_;
};

TEST_F(QuantizedRuns, LeavesTheFinishedRunAndGoesOnWithItsWeights) {
  const Recipe recipe = three_class_recipe({"quantize.steps=4"});
  run_recipe(recipe, run("a"));
  const std::string model = file("a/model.safetensors"),
                    checkpoint = file("a/dit/checkpoint.safetensors"),
                    records = file("a/stages.json");
  fine_tune(recipe, dit_alone("a"));
  EXPECT_EQ(file("a/model.safetensors"), model);
  EXPECT_EQ(file("a/dit/checkpoint.safetensors"), checkpoint);
  EXPECT_EQ(file("a/stages.json"), records);
  const Bundle before = Bundle::load(out_ / "a/model.safetensors"),
               after = Bundle::load(out_ / "a/dit-int4/model.safetensors");
  EXPECT_EQ(after.notes.at("fine_tuned_for"), "int4");
  index_t changed = 0;
  for (const auto& [name, tensor] : before.tensors) {
    const bool same = std::ranges::equal(tensor.span(), after.tensors.at(name).span());
    EXPECT_TRUE(same || name.starts_with("dit.")) << name;
    changed += !same;
  }
  EXPECT_GT(changed, 0);
  // The same command finds it complete; the other type has a folder of its own.
  const auto trained = fs::last_write_time(out_ / "a/dit-int4/dit/checkpoint.safetensors");
  fine_tune(recipe, dit_alone("a"));
  EXPECT_EQ(fs::last_write_time(out_ / "a/dit-int4/dit/checkpoint.safetensors"), trained);
  fine_tune(recipe, dit_alone("a"), DType::int8w);
  EXPECT_TRUE(fs::exists(out_ / "a/dit-int8w/model.safetensors"));
  EXPECT_NE(file("a/dit-int8w/model.safetensors"), file("a/dit-int4/model.safetensors"));
}

TEST_F(QuantizedRuns, ContinuesWithTheSameBits) {
  const Recipe recipe = three_class_recipe({"quantize.steps=4", "quantize.checkpoint_every=1"});
  run_recipe(recipe, run("a"));
  fine_tune(recipe, dit_alone("a"));
  const std::string whole = file("a/dit-int4/model.safetensors");
  fs::remove_all(out_ / "a/dit-int4");
  RecipeRun interrupted = dit_alone("a");
  interrupted.on_progress = [](const TrainingProgress& p) { return p.step < 2; };
  EXPECT_THROW(fine_tune(recipe, interrupted), Cancelled);
  fine_tune(recipe, dit_alone("a"));
  EXPECT_EQ(file("a/dit-int4/model.safetensors"), whole);
}

TEST_F(QuantizedRuns, BeginsWithAModelFromElsewhere) {
  const Recipe recipe = three_class_recipe({"quantize.steps=2"});
  run_recipe(recipe, run("a"));
  RecipeRun other = dit_alone("b");
  other.init = out_ / "a/model.safetensors";
  fine_tune(recipe, other);
  const Bundle model = Bundle::load(out_ / "b/dit-int4/model.safetensors");
  EXPECT_TRUE(model.has(NetworkRole::decoder));
  EXPECT_FALSE(fs::exists(out_ / "b/model.safetensors"));
}

// An f32 base in a run that stores bf16: its networks are rounded as the file has them, so that the
// run knows them again when it continues.
TEST_F(QuantizedRuns, TakesABaseOfAnotherTypeRounded) {
  const Recipe recipe = three_class_recipe({"quantize.steps=2"});
  RecipeRun exact = run("a");
  exact.stored_as = DType::f32;
  run_recipe(recipe, exact);
  RecipeRun other = dit_alone("b");
  other.init = out_ / "a/model.safetensors";
  other.stored_as = DType::bf16;
  fine_tune(recipe, other);
  Bundle base = Bundle::load(other.init);
  const Bundle before = base, after = Bundle::load(out_ / "b/dit-int4/model.safetensors");
  index_t rounded = 0;
  for (const char* prefix : {"encoder.", "decoder."}) {
    base.round(prefix, DType::bf16);
    for (const auto& [name, tensor] : base.tensors) {
      if (!name.starts_with(prefix)) continue;
      EXPECT_TRUE(std::ranges::equal(tensor.span(), after.tensors.at(name).span())) << name;
      rounded += !std::ranges::equal(tensor.span(), before.tensors.at(name).span());
    }
  }
  EXPECT_GT(rounded, 0);
  for (const char* name : {"latent_norm.mean", "latent_norm.var"})
    EXPECT_TRUE(std::ranges::equal(before.tensors.at(name).span(), after.tensors.at(name).span()));

  // The same command finds it complete; more steps continue it.
  const std::string model = file("b/dit-int4/model.safetensors");
  fine_tune(recipe, other);
  EXPECT_EQ(file("b/dit-int4/model.safetensors"), model);
  fine_tune(three_class_recipe({"quantize.steps=3"}), other);
  EXPECT_NE(file("b/dit-int4/model.safetensors"), model);
}

TEST_F(QuantizedRuns, RefusesAnotherBase) {
  const Recipe recipe = three_class_recipe({"quantize.steps=2"});
  run_recipe(recipe, run("a"));
  fine_tune(recipe, dit_alone("a"));
  const Recipe longer = three_class_recipe({"quantize.steps=2", "encoder.train.steps=6"});
  run_recipe(longer, run("a"));
  const std::string message = message_of<ConfigError>([&] { fine_tune(longer, dit_alone("a")); });
  EXPECT_NE(message.find("was trained with another encoder than that of"), std::string::npos)
      << message;
}

TEST_F(QuantizedRuns, NeedsAFinishedNetworkAndTheStageAlone) {
  const Recipe recipe = three_class_recipe();
  const auto refusal = [&](const RecipeRun& run, DType stored = DType::int4) {
    return message_of<ConfigError>([&] { (void)quantized_run(recipe, run, stored); });
  };
  const auto has = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  has(refusal(dit_alone("a")), "has trained 0 of");
  has(refusal(run("a")), "trains the stage dit alone");
  has(refusal(dit_alone("a"), DType::int8), "expected int8w or int4");
  EXPECT_FALSE(fs::exists(out_ / "a"));
}

TEST_F(QuantizedRuns, ADryRunDescribesIt) {
  const Recipe recipe = three_class_recipe({"quantize.steps=2"});
  run_recipe(recipe, run("a"));
  const QuantizedRun quantized = quantized_run(recipe, dit_alone("a"), DType::int4);
  const auto stages = outlook_of_stages(quantized.recipe, quantized.run,
                                        check_recipe(quantized.recipe, quantized.run));
  ASSERT_EQ(stages.size(), 1u);
  EXPECT_EQ(stages[0].text, "trained from the beginning, 2 steps");
  EXPECT_FALSE(fs::exists(out_ / "a/dit-int4"));
}

TEST(QuantizedTraining, DefaultsAreATenthOfStage2) {
  TrainingOptions dit;
  dit.steps = 2000;
  dit.lr = 1e-3;
  dit.final_lr = 1e-4;
  dit.warmup_steps = 100;
  dit.ema_decay = 0.999;
  const TrainingOptions o = quantized_training_defaults(dit);
  EXPECT_EQ(o.steps, 200);
  EXPECT_DOUBLE_EQ(o.lr, 1e-4);
  EXPECT_DOUBLE_EQ(o.final_lr, 1e-5);
  EXPECT_EQ(o.warmup_steps, 0);
  EXPECT_DOUBLE_EQ(o.ema_decay, 0.95);
  const Recipe recipe = three_class_recipe({"quantize.steps=7"});
  EXPECT_EQ(recipe.quantized_training.steps, 7);
  EXPECT_DOUBLE_EQ(recipe.quantized_training.lr, recipe.dit_training.lr / 10);
  EXPECT_THROW((void)three_class_recipe({"quantize.step=7"}), ConfigError);
  EXPECT_THROW((void)three_class_recipe({"dit.quantize=int8"}), ConfigError);
  EXPECT_EQ(three_class_recipe({"dit.quantize=int4"}).flow.quantize, DType::int4);
}

}  // namespace
}  // namespace rae::test
