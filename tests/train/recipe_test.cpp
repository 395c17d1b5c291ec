#include "rae/train/recipe.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "rae/pipeline/autoencoder.hpp"
#include "rae/pipeline/generator.hpp"
#include "support/idx_files.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

constexpr const char* kTiny = R"(
model:
  name: tiny
  image_size: 8
  pixels: {mean: [0.5], std: [0.3]}
  encoder: {family: siglip2, patch_size: 4, channels: 1, hidden_size: 8, num_layers: 1, num_heads: 2, intermediate_size: 16, table_h: 2, table_w: 2}
  decoder: {grid_h: 2, grid_w: 2, in_dim: 8, hidden_size: 8, num_layers: 1, num_heads: 2, intermediate_size: 16, patch_size: 4, channels: 1}
  dit: {grid_h: 2, grid_w: 2, in_channels: 8, hidden_size: [8, 12], depth: [1, 1], num_heads: [2, 3], num_classes: 10, class_dropout_prob: 0.1}
  time_shift: 2.0
  sampling: {steps: 4}
encoder:
  pretraining: {augmentation: {shift: 1, flip: true}}
  train: {steps: 4, batch_size: 6, log_every: 1, seed: 1}
decoder:
  loss: {noise_tau: 0.4, perceptual_weight: 0.2}
  train: {steps: 4, batch_size: 6, log_every: 1, seed: 2}
dit:
  flow: {time: logit-normal_0_1}
  train: {steps: 6, batch_size: 6, log_every: 1, seed: 3, checkpoint_every: 2}
notes: {licence: MIT}
)";

Recipe recipe_of(const std::string& text = kTiny) { return parse_recipe(ConfigNode::parse_yaml(text, "tiny.yaml")); }

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

void write_data(const TempFolder& folder) {
  for (const char* split : {"train", "t10k"}) {
    folder.write(std::string(split) + "-images-idx3-ubyte", idx_images(10, 8, 8));
    folder.write(std::string(split) + "-labels-idx1-ubyte", idx_labels({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  }
}

RecipeRun run_in(const TempFolder& data, const std::string& out) {
  RecipeRun run;
  run.data = data.path();
  run.out = out;
  run.samples = 4;
  return run;
}

TEST(Recipe, TrainsAllStagesIntoOneBundle) {
  const TempFolder data, out;
  write_data(data);
  RecipeRun run = run_in(data, out.path());
  std::vector<std::string> events;
  run.on_event = [&](const std::string& e) { events.push_back(e); };
  run_recipe(recipe_of(), run);
  const Bundle bundle = Bundle::load(out / "model.safetensors");
  EXPECT_EQ(bundle.config.name, "tiny");
  EXPECT_EQ(bundle.config.class_names.size(), 10u);
  EXPECT_EQ(bundle.notes.at("licence"), "MIT");
  EXPECT_EQ(bundle.latent_norm().mean.shape(), (Shape{8, 2, 2}));
  Generator generator(bundle);
  EXPECT_EQ(generator.sample({.labels = {3, 4}}).size(), 2u);
  Autoencoder autoencoder(bundle);
  EXPECT_EQ(autoencoder.encode(Tensor<float>::zeros(Shape{1, 1, 8, 8})).shape(), (Shape{1, 8, 2, 2}));
  for (const char* step : {"0000002", "0000004", "0000006"})
    EXPECT_EQ(Image::open(out / ("samples/step-" + std::string(step) + ".png")).height(), 8);
  EXPECT_EQ(events.front(), "stage encoder");
}

TEST(Recipe, AStoppedRunContinuesToTheSameFile) {
  const TempFolder data, whole, broken;
  write_data(data);
  run_recipe(recipe_of(), run_in(data, whole.path()));
  for (const char* stage : {"encoder", "decoder", "dit"}) {
    RecipeRun run = run_in(data, broken.path());
    run.on_progress = [&](const TrainingProgress& p) { return p.stage != stage || p.step < 3; };
    EXPECT_THROW(run_recipe(recipe_of(), run), Cancelled) << stage;
  }
  run_recipe(recipe_of(), run_in(data, broken.path()));
  EXPECT_EQ(slurp(broken / "model.safetensors"), slurp(whole / "model.safetensors"));
}

TEST(Recipe, AStageAloneAsksForItsPredecessor) {
  const TempFolder data, out;
  write_data(data);
  RecipeRun run = run_in(data, out.path());
  run.stages = {TrainingStage::decoder};
  EXPECT_NE(message_of<ConfigError>([&] { run_recipe(recipe_of(), run); }).find("run the stage encoder first"), std::string::npos);
  run.stages = {TrainingStage::encoder};
  run_recipe(recipe_of(), run);
  run.stages = {TrainingStage::dit};
  EXPECT_NE(message_of<ConfigError>([&] { run_recipe(recipe_of(), run); }).find("run the stage decoder first"), std::string::npos);
  run.stages = {TrainingStage::decoder};
  run_recipe(recipe_of(), run);
  run.stages = {TrainingStage::dit};
  EXPECT_NE(message_of<ConfigError>([&] { run_recipe(recipe_of(), run); }).find("run the stage statistics first"), std::string::npos);
}

TEST(Recipe, OtherSettingsDoNotContinueAnOldRun) {
  const TempFolder data, out;
  write_data(data);
  run_recipe(recipe_of(), run_in(data, out.path()));
  const Recipe other = recipe_of(replaced(kTiny, "noise_tau: 0.4", "noise_tau: 0.5"));
  EXPECT_NE(message_of<ConfigError>([&] { run_recipe(other, run_in(data, out.path())); }).find("noise_tau is 0.5, was 0.4"),
            std::string::npos);
}

TEST(Recipe, RefusesMistakesNamingTheirPlace) {
  const struct {
    const char *from, *to, *message;
  } cases[] = {
      {"seed: 3,", "sede: 3,", "dit.train"},
      {"name: tiny", "nmae: tiny", "model"},
      {"hidden_size: 8, num_layers: 1, num_heads: 2, intermediate_size: 16, table_h",
       "hidden_size: 9, num_layers: 1, num_heads: 2, intermediate_size: 16, table_h", "encoder"},
      {"in_dim: 8", "in_dim: 4", "decoder"},
      {"time: logit-normal_0_1", "time: normal", "time"},
      {"noise_tau: 0.4", "noise_tau: -1", "noise_tau"},
      {"shift: 1", "shift: -1", "shift"},
      {"time_shift: 2.0", "time_shift: 0.5", "time_shift"},
      {"notes: {licence: MIT}", "notes: 3", "notes"},
      {"perceptual_weight: 0.2", "noise_law: gauss", "noise_law"},
  };
  for (const auto& c : cases) {
    try {
      (void)recipe_of(replaced(kTiny, c.from, c.to));
      ADD_FAILURE() << c.to << ": accepted";
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(c.message), std::string::npos) << e.what();
    }
  }
}

TEST(Recipe, NamesOfStagesAreReadBack) {
  for (const TrainingStage s : {TrainingStage::encoder, TrainingStage::decoder, TrainingStage::statistics, TrainingStage::dit})
    EXPECT_EQ(parse_training_stage(name_of(s)), s);
  EXPECT_THROW((void)parse_training_stage("vae"), ArgumentError);
}

}  // namespace
}  // namespace rae::test
