// What is refused before anything is computed.
#include "rae/train/recipe_check.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "rae/formats/bundle.hpp"
#include "rae/io/image.hpp"
#include "support/idx_files.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_recipe.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;

/// Pictures in `classes`, two of each.
void write_pictures(const TempFolder& folder, const std::vector<std::string>& classes) {
  int value = 0;
  for (const std::string& name : classes) {
    fs::create_directories(folder / name);
    for (const char* file : {"/1.png", "/2.png"})
      Image(8, 8, 1, static_cast<std::uint8_t>(value += 20)).save_png(folder / (name + file));
  }
}

ConfigNode recipe_node() { return ConfigNode::parse_yaml(kTinyRecipe, "tiny.yaml"); }

ConfigNode with(const char* path, ConfigNode value) {
  ConfigNode node = recipe_node();
  node.set_path(path, std::move(value));
  return node;
}

/// Without the number of classes.
ConfigNode open_recipe() {
  ConfigNode node = recipe_node();
  ConfigNode dit = ConfigNode::map();
  for (const auto& [key, value] : node.at("model").at("dit").members())
    if (key != "num_classes") dit.set(key, value);
  node.set_path("model.dit", dit);
  return node;
}

RecipeRun run_on(const TempFolder& data, const TempFolder& out) {
  RecipeRun run;
  run.data = data.path();
  run.out = out / "run";
  return run;
}

/// The error of a run, which must have created nothing.
template <class E>
std::string refused(const Recipe& recipe, const RecipeRun& run) {
  const std::string message = message_of<E>([&] { run_recipe(recipe, run); });
  EXPECT_FALSE(fs::exists(run.out));
  return message;
}

TEST(RecipeCheck, ClassesComeFromTheDataWhereTheRecipeHasNone) {
  const TempFolder data, out;
  write_pictures(data, {"circle", "square", "star"});
  EXPECT_TRUE(needs_classes_of_data(open_recipe()));
  EXPECT_FALSE(needs_classes_of_data(recipe_node()));
  EXPECT_NE(message_of<ConfigError>([&] { (void)parse_recipe(open_recipe()); }).find("num_classes"),
            std::string::npos);
  const Recipe recipe = parse_recipe(open_recipe(), 3);
  EXPECT_EQ(recipe.model.num_classes(), 3);
  EXPECT_EQ(recipe.source.at("model").at("dit").at("num_classes").as_integer(), 3);
  run_recipe(recipe, run_on(data, out));
  EXPECT_EQ(Bundle::load(out / "run/model.safetensors").config.class_names,
            (std::vector<std::string>{"circle", "square", "star"}));
  // A number in the recipe stays.
  EXPECT_EQ(parse_recipe(recipe_node(), 3).model.num_classes(), 10);
}

TEST(RecipeCheck, AWrongNumberOfClassesIsRefusedFirst) {
  const TempFolder data, out;
  write_pictures(data, {"circle", "square", "star"});
  const std::string message = refused<ConfigError>(parse_recipe(recipe_node()), run_on(data, out));
  EXPECT_EQ(message,
            "tiny.yaml: model.dit.num_classes: expected 3, the classes of the data set (circle, "
            "square, star), or 1 for a model without classes, got 10; without num_classes the data "
            "set decides");
  EXPECT_NO_THROW(
      (void)check_recipe(parse_recipe(with("model.dit.num_classes", 1)), run_on(data, out)));
}

TEST(RecipeCheck, BrokenPicturesAreNamedOrSkipped) {
  const TempFolder data, out;
  write_pictures(data, {"a", "b"});
  data.write("a/0.png", "broken");
  data.write("b/9.jpg", "broken, too");
  RecipeRun run = run_on(data, out);
  const Recipe recipe = parse_recipe(open_recipe(), 2);
  const std::string message = refused<FormatError>(recipe, run);
  EXPECT_NE(message.find("a/0.png"), std::string::npos);
  EXPECT_NE(message.find("b/9.jpg"), std::string::npos);
  run.skip_broken = true;
  std::string events;
  run.on_event = [&](const std::string& event) { events += event + "\n"; };
  run_recipe(recipe, run);
  EXPECT_NE(events.find("train: 4 pictures in 2 classes (a 2, b 2); 2 skipped (2 broken: "),
            std::string::npos)
      << events;
  EXPECT_NE(events.find("skipped " + data / "b/9.jpg: "), std::string::npos) << events;
  // As if the files were not there.
  const TempFolder clean, other;
  write_pictures(clean, {"a", "b"});
  run_recipe(recipe, run_on(clean, other));
  EXPECT_EQ(slurp(other / "run/model.safetensors"), slurp(out / "run/model.safetensors"));
}

TEST(RecipeCheck, DamagedPixelsAreFoundWhenAsked) {
  const TempFolder data, out;
  write_pictures(data, {"a", "b"});
  std::string bytes = slurp(data / "a/1.png");
  bytes[bytes.size() - 20] ^= 1;  // in the compressed pixels
  data.write("a/1.png", bytes);
  const Recipe recipe = parse_recipe(open_recipe(), 2);
  RecipeRun run = run_on(data, out);
  EXPECT_NO_THROW((void)check_recipe(recipe, run));
  run.check_data = true;
  EXPECT_NE(refused<FormatError>(recipe, run).find("a/1.png"), std::string::npos);
  run.skip_broken = true;
  EXPECT_EQ(check_recipe(recipe, run).data.data->size(), 3);
}

TEST(RecipeCheck, NamesThatCannotBeStoredAreRefused) {
  const TempFolder data, out;
  write_pictures(data, {"good", "bad\xff"});
  EXPECT_NE(refused<ConfigError>(parse_recipe(open_recipe(), 2), run_on(data, out))
                .find("the class name 'bad\\xff' cannot be stored"),
            std::string::npos);
  fs::rename(data / "bad\xff", data / std::string(201, 'x'));
  EXPECT_NE(refused<ConfigError>(parse_recipe(open_recipe(), 2), run_on(data, out))
                .find("a name of 1 to 200 bytes"),
            std::string::npos);
  fs::rename(data / std::string(201, 'x'), data / "fine");
  for (const char* key : {"config", "packed"}) {
    Recipe recipe = parse_recipe(open_recipe(), 2);
    recipe.notes[key] = "x";
    EXPECT_NE(refused<ConfigError>(recipe, run_on(data, out)).find("is reserved"),
              std::string::npos);
  }
  Recipe recipe = parse_recipe(open_recipe(), 2);
  recipe.notes["author"] = std::string("a\0b", 3);
  EXPECT_NE(refused<ConfigError>(recipe, run_on(data, out)).find("cannot be stored"),
            std::string::npos);
  recipe = parse_recipe(open_recipe(), 2);
  recipe.model.name = "\xc3";
  EXPECT_NE(refused<ConfigError>(recipe, run_on(data, out)).find("the model's name '\\xc3'"),
            std::string::npos);
}

TEST(RecipeCheck, AStageThatCannotFitIntoMemoryIsRefused) {
  const TempFolder data, out;
  write_pictures(data, {"a", "b"});
  const Recipe recipe = parse_recipe(open_recipe(), 2);
  const auto stages = memory_of_stages(recipe);
  ASSERT_EQ(stages.size(), 3u);
  EXPECT_EQ(stages[2].stage, TrainingStage::dit);
  for (const StageMemory& stage : stages) {
    EXPECT_GT(stage.weights, 0u);
    EXPECT_GT(stage.activations, 0u);
  }
  const std::uint64_t most = stages[2].weights + stages[2].activations;
  RecipeRun run = run_on(data, out);
  run.stages = {TrainingStage::dit};
  EXPECT_NO_THROW((void)check_recipe(recipe, run, most));
  const std::string message =
      message_of<MemoryError>([&] { (void)check_recipe(recipe, run, most - 1); });
  EXPECT_NE(message.find("the stage dit needs at least"), std::string::npos) << message;
  EXPECT_NE(message.find("a larger dit.train.accumulate needs less"), std::string::npos) << message;
  EXPECT_NE(message_of<MemoryError>([&] {
              (void)check_recipe(recipe, run, 1000);
            }).find("model.dit or lightning_dit must be smaller"),
            std::string::npos);

  // Nothing is allocated before the refusal.
  ConfigNode node = open_recipe();
  for (const int bits : {40, 62}) {
    node.set_path("decoder.train.batch_size", std::int64_t{1} << bits);
    EXPECT_NE(refused<MemoryError>(parse_recipe(node, 2), run_on(data, out)).find("stage decoder"),
              std::string::npos);
  }
}

TEST(RecipeCheck, SizesThatDoNotFitAreRefusedOnEveryAxis) {
  for (const char* assignment : {"model.image_size=12",        "model.image_width=12",
                                 "model.decoder.grid_h=3",     "model.decoder.grid_w=3",
                                 "model.decoder.patch_size=5", "model.decoder.in_dim=9",
                                 "model.decoder.channels=3",   "model.dit.grid_h=3",
                                 "model.dit.grid_w=3",         "model.dit.in_channels=9",
                                 "model.encoder.channels=3",   "model.encoder.patch_size=3",
                                 "model.encoder_size=9",       "model.encoder_width=12",
                                 "model.pixels.mean=[0,0,0]",  "encoder.train.batch_size=0",
                                 "decoder.train.accumulate=4", "dit.train.steps=0",
                                 "dit.flow.time=none",         "modle.name=x",
                                 "encoder.train.batchsize=3",  "dit.train.lr=-1",
                                 "data.random=true",           "data.size=8"}) {
    ConfigNode node = recipe_node();
    node.apply_override(assignment);
    EXPECT_THROW((void)parse_recipe(node), Error) << assignment;
  }
}

TEST(RecipeCheck, ALossOfAnotherKindIsRefused) {
  const TempFolder data, out;
  write_pictures(data, {"a", "b"});
  ConfigNode node = open_recipe();
  node.set_path("decoder.loss.lpips.weights", "none.safetensors");
  EXPECT_NE(refused<ConfigError>(parse_recipe(node, 2), run_on(data, out)).find("3 channels"),
            std::string::npos);
}

}  // namespace
}  // namespace rae::test
