// Recipes with an encoder that the library does not know (support/custom_encoder.hpp).
#include "support/custom_encoder.hpp"

#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "rae/train/recipe.hpp"
#include "support/golden.hpp"
#include "support/idx_files.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"
#include "support/tiny_recipe.hpp"

namespace rae::test {
namespace {

const bool kRegistered = register_custom_encoders();

/// The tiny recipe with another encoder and without stage 0; the widths of decoder and DiT follow
/// the encoder.
ConfigNode recipe_with(AnyEncoder encoder) {
  ConfigNode node = ConfigNode::parse_yaml(kTinyRecipe, "tiny.yaml");
  ConfigNode out = ConfigNode::map();
  for (const auto& [key, value] : node.members())
    if (key != "encoder") out.set(key, value);
  out.set_path("model.encoder", encoder.to_config());
  out.set_path("model.decoder.in_dim", encoder.width());
  out.set_path("model.dit.in_channels", encoder.width());
  return out;
}

RecipeRun run_in(const TempFolder& folder) {
  folder.write("train-images-idx3-ubyte", idx_images(10, 8, 8));
  folder.write("train-labels-idx1-ubyte", idx_labels({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  RecipeRun run;
  run.data = folder.path();
  run.out = folder / "out";
  run.samples = 2;
  return run;
}

TEST(CustomEncoderRecipe, AnEncoderWithoutWeightsHasNoStage0) {
  ASSERT_TRUE(kRegistered);
  const TempFolder folder;
  const Recipe recipe = parse_recipe(recipe_with(PatchConfig{}));
  const RecipeRun run = run_in(folder);
  run_recipe(recipe, run);
  EXPECT_FALSE(std::filesystem::exists(folder / "out/encoder"));
  const std::string path = folder / "out/model.safetensors";
  const Bundle bundle = Bundle::load(path);
  EXPECT_EQ(bundle.config.encoder.family(), "patches");
  EXPECT_FALSE(bundle.has("encoder."));
  const Image picture(8, 8, 1, 100);
  EXPECT_EQ(Autoencoder::load(path).reconstruct(picture).width(), 8);
  EXPECT_EQ(Generator::load(path).sample({.labels = {3}}).size(), 1u);

  // Running the finished recipe again changes nothing.
  const std::string before = slurp(path);
  run_recipe(recipe, run);
  EXPECT_EQ(slurp(path), before);
}

TEST(CustomEncoderRecipe, WeightsAreReadFromABundle) {
  const TempFolder folder;
  ConfigNode node = recipe_with(LinearPatchConfig{});
  node.set_path("decoder.loss.perceptual_weight", 0.0);
  const std::string message = message_of<ConfigError>([&] { (void)parse_recipe(node); });
  EXPECT_NE(message.find("encoder.pretrained"), std::string::npos) << message;

  Bundle taken;
  taken.config = parse_model_config(node.at("model"));
  taken.config.decoder.reset();
  taken.config.dit.reset();
  const auto encoder = taken.config.encoder.make();
  fill_random(*encoder, 7);
  taken.store("encoder.", *encoder);
  taken.save(folder / "taken.safetensors");
  ConfigNode model = ConfigNode::map();
  for (const auto& [key, value] : node.at("model").members())
    if (key != "encoder") model.set(key, value);
  node.set("model", model);
  node.set_path("encoder.pretrained", folder / "taken.safetensors");
  const Recipe recipe = parse_recipe(node);
  RecipeRun run = run_in(folder);
  run.stages = {TrainingStage::encoder, TrainingStage::decoder, TrainingStage::statistics};
  run_recipe(recipe, run);
  const Bundle bundle = Bundle::load(folder / "out/model.safetensors");
  EXPECT_EQ(bundle.config.encoder, taken.config.encoder);
  const std::string name = "encoder.map.weight";
  expect_close(bundle.tensors.at(name), taken.tensors.at(name), 0.0);
}

TEST(CustomEncoderRecipe, RefusesLossesAndStagesThatTheEncoderCannotHave) {
  // Gradients do not pass through this encoder, so it cannot be used for a perceptual loss.
  const TempFolder folder;
  Bundle taken;
  taken.config = parse_model_config(recipe_with(LinearPatchConfig{}).at("model"));
  taken.config.decoder.reset();
  taken.config.dit.reset();
  const auto encoder = taken.config.encoder.make();
  taken.store("encoder.", *encoder);
  taken.save(folder / "taken.safetensors");
  ConfigNode node = recipe_with(LinearPatchConfig{});
  ConfigNode model = ConfigNode::map();
  for (const auto& [key, value] : node.at("model").members())
    if (key != "encoder") model.set(key, value);
  node.set("model", model);
  node.set_path("encoder.pretrained", folder / "taken.safetensors");
  std::string message = message_of<ConfigError>([&] { (void)parse_recipe(node); });
  EXPECT_NE(message.find("perceptual_weight"), std::string::npos) << message;

  // An encoder without weights cannot have a stage 0.
  node = recipe_with(PatchConfig{});
  node.set_path("encoder.train.steps", 3);
  message = message_of<ConfigError>([&] { (void)parse_recipe(node); });
  EXPECT_NE(message.find("no weights to train"), std::string::npos) << message;
}

}  // namespace
}  // namespace rae::test
