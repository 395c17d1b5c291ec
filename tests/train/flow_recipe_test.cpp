// Recipes of stage 2: path, prediction, loss weight, times, network, classes and shapes.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "rae/generate/generator.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/models/lightning_dit.hpp"
#include "rae/train/recipe.hpp"
#include "support/idx_files.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_recipe.hpp"

namespace rae::test {
namespace {

/// The tiny recipe with some changed values.
Recipe recipe_with(std::initializer_list<const char*> changes) {
  ConfigNode node = ConfigNode::parse_yaml(kTinyRecipe, "tiny.yaml");
  for (const char* change : changes) node.apply_override(change);
  return parse_recipe(node);
}

/// The tiny recipe with one member of `model` removed.
ConfigNode without(std::string_view member) {
  ConfigNode node = ConfigNode::parse_yaml(kTinyRecipe, "tiny.yaml");
  ConfigNode model = ConfigNode::map();
  for (const auto& [key, value] : node.at("model").members())
    if (key != member) model.set(key, value);
  node.set("model", model);
  return node;
}

constexpr const char* kLightningDit =
    "model.lightning_dit={input_h: 2, input_w: 2, in_channels: 8, hidden_size: 12, depth: 1, "
    "num_heads: 3, num_classes: 10, class_dropout_prob: 0.1, learn_sigma: true}";

class FlowRecipe : public testing::Test {
 protected:
  void SetUp() override {
    data_.write("train-images-idx3-ubyte", idx_images(10, 8, 8));
    data_.write("train-labels-idx1-ubyte", idx_labels({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  }

  [[nodiscard]] RecipeRun run_in(const std::string& out) const {
    RecipeRun run;
    run.data = data_.path();
    run.out = out;
    run.samples = 4;
    return run;
  }

  [[nodiscard]] Bundle trained(const Recipe& recipe, const TempFolder& out) const {
    run_recipe(recipe, run_in(out.path()));
    return Bundle::load(out / "model.safetensors");
  }

  TempFolder data_;
};

TEST_F(FlowRecipe, ReadsEveryOption) {
  const Recipe recipe =
      recipe_with({"model.path=gvp", "model.prediction=noise", "dit.flow.loss_weight=velocity",
                   "dit.flow.train_eps=0.01", "dit.flow.time=uniform", "dit.checkpointing=true"});
  EXPECT_EQ(recipe.flow.objective.path, PathKind::gvp);
  EXPECT_EQ(recipe.flow.objective.prediction, Prediction::noise);
  EXPECT_EQ(recipe.flow.objective.weight(), LossWeighting::velocity);
  EXPECT_EQ(recipe.flow.time.to_string(), "uniform");
  EXPECT_EQ(recipe.flow.time.interval().low, 0.01);
  EXPECT_EQ(recipe.flow.time.interval().high, 0.99);
  EXPECT_EQ(recipe.flow.time_shift, 2.0);
  EXPECT_TRUE(recipe.flow.checkpointing);
  // The values that mean the training of the paper.
  const Recipe plain = recipe_with({});
  EXPECT_EQ(plain.flow.objective.path, PathKind::linear);
  EXPECT_EQ(plain.flow.objective.weight(), LossWeighting::none);
  EXPECT_EQ(plain.flow.time.interval().low, 0.0);
  EXPECT_EQ(plain.flow.time.interval().high, 0.999);
  EXPECT_FALSE(plain.flow.checkpointing);
  EXPECT_EQ(recipe_with({"model.prediction=data"}).flow.objective.weight(),
            LossWeighting::velocity);
}

TEST_F(FlowRecipe, RefusesUntrainableObjectivesWithTheReason) {
  const struct {
    std::initializer_list<const char*> changes;
    const char *place, *reason;
  } cases[] = {
      {{"model.path=vp", "dit.flow.train_eps=0"}, "dit.flow", "undefined at t[0] = 1"},
      {{"model.path=vp", "model.time_shift=2000"}, "dit.flow", "undefined at t[0] = 1"},
      {{"model.prediction=score", "dit.flow.train_eps=0"}, "dit.flow", "undefined at t[0] = 0"},
      {{"model.prediction=noise", "dit.flow.loss_weight=velocity", "dit.flow.train_eps=0"},
       "dit.flow",
       "infinite at t = 1"},
      {{"model.prediction=noise", "model.path_formulas=official",
        "dit.flow.loss_weight=likelihood"},
       "dit.flow",
       "negative"},
      {{"dit.flow.loss_weight=snr"}, "loss_weight", "none, velocity or likelihood"},
      {{"dit.flow.train_eps=0.5"}, "dit.flow.train_eps", "between 0 and 0.499"},
      {{"dit.checkpointing=3"}, "dit.checkpointing", "true or false"},
      {{"dit.flow.path=gvp"}, "dit.flow", "path"},
      {{"model.time_shift=automatic"}, "model.time_shift", "number"},
  };
  for (const auto& row : cases) {
    std::string message;
    try {
      (void)recipe_with(row.changes);
      ADD_FAILURE() << *row.changes.begin() << ": accepted";
    } catch (const Error& error) {
      message = error.what();
    }
    EXPECT_NE(message.find(row.place), std::string::npos) << message;
    EXPECT_NE(message.find(row.reason), std::string::npos) << message;
  }
}

TEST_F(FlowRecipe, TheAutomaticTimeShiftFollowsFromTheLatents) {
  EXPECT_EQ(recipe_with({"model.time_shift=auto"}).flow.time_shift, 1.0);  // 32 elements
  EXPECT_EQ(parse_recipe(without("time_shift")).flow.time_shift, 1.0);
  EXPECT_FALSE(recipe_with({}).automatic_time_shift);
  // 8 x 24 x 24 = 4608 elements.
  ConfigNode node = without("time_shift");
  for (const char* change :
       {"model.image_size=48", "model.encoder.patch_size=2", "model.encoder.table_h=24",
        "model.encoder.table_w=24", "model.decoder.patch_size=2", "model.decoder.grid_h=24",
        "model.decoder.grid_w=24", "model.dit.grid_h=24", "model.dit.grid_w=24",
        "encoder.train.steps=1", "decoder.train.steps=1", "dit.train.steps=2",
        "dit.train.batch_size=2", "model.sampling.steps=1"})
    node.apply_override(change);
  const double shift = std::sqrt(4608.0 / 4096.0);
  const Recipe recipe = parse_recipe(node);
  EXPECT_TRUE(recipe.automatic_time_shift);
  EXPECT_DOUBLE_EQ(recipe.model.time_shift, shift);
  EXPECT_DOUBLE_EQ(recipe.flow.time_shift, shift);

  // The shift is reported and stored, and a run continues with it.
  const TempFolder out;
  RecipeRun run = run_in(out.path());
  run.samples = 0;
  std::string events;
  run.on_event = [&](const std::string& event) { events += event + "\n"; };
  run_recipe(recipe, run);
  EXPECT_NE(events.find("time shift 1.06"), std::string::npos) << events;
  EXPECT_NE(events.find("8 x 24 x 24"), std::string::npos) << events;
  EXPECT_DOUBLE_EQ(Bundle::load(out / "model.safetensors").config.time_shift, shift);
  EXPECT_NO_THROW(run_recipe(parse_recipe(node), run));
  node.apply_override("model.time_shift=1.0");
  EXPECT_NE(message_of<ConfigError>([&] {
              run_recipe(parse_recipe(node), run);
            }).find("model.time_shift is 1.0, was 1.06"),
            std::string::npos);
}

TEST_F(FlowRecipe, EachPathTrainsOtherWeights) {
  const TempFolder linear, gvp, vp;
  const auto path_of = [](const char* change) { return recipe_with({change}); };
  const Bundle a = trained(path_of("model.path=linear"), linear),
               b = trained(path_of("model.path=gvp"), gvp),
               c = trained(path_of("model.path=vp"), vp);
  EXPECT_EQ(a.config.path, PathKind::linear);
  EXPECT_EQ(b.config.path, PathKind::gvp);
  EXPECT_EQ(c.config.path, PathKind::vp);
  const auto weights = [](const Bundle& bundle) {
    const Tensor<float> w = bundle.tensor("dit.final_layer.linear.weight", {8, 12});  // (8, 12)
    return std::vector<float>(w.span().begin(), w.span().end());
  };
  EXPECT_NE(weights(a), weights(b));
  EXPECT_NE(weights(a), weights(c));
  EXPECT_NE(weights(b), weights(c));
  // The earlier stages do not depend on the path.
  const Shape table{1, 4, 8};
  const Tensor<float> of_a = a.tensor("encoder.pos_embed", table),
                      of_b = b.tensor("encoder.pos_embed", table);  // (1, 4, 8) each
  for (index_t i = 0; i < table.numel(); ++i) EXPECT_EQ(of_a[i], of_b[i]);
  EXPECT_EQ(Generator(c).sample({.labels = {3, 4}}).size(), 2u);
}

TEST_F(FlowRecipe, TrainsALightningDitThatPredictsTheScore) {
  ConfigNode node = without("dit");
  for (const char* change :
       {kLightningDit, "model.path=vp", "model.prediction=score", "dit.flow.loss_weight=likelihood",
        "model.sampling.guidance.scale=1.5"})
    node.apply_override(change);
  const TempFolder out;
  const Bundle bundle = trained(parse_recipe(node), out);
  ASSERT_TRUE(bundle.config.dit);
  EXPECT_EQ(bundle.config.dit->name(), "lightning_dit");
  EXPECT_EQ(bundle.config.prediction, Prediction::score);
  EXPECT_EQ(bundle.config.path, PathKind::vp);
  EXPECT_EQ(Generator(bundle).sample({.labels = {3, 4}}).size(), 2u);
}

TEST_F(FlowRecipe, AModelOfOneClassStoresNoClassNames) {
  const TempFolder out;
  const Bundle bundle =
      trained(recipe_with({"model.dit.num_classes=1", "model.dit.class_dropout_prob=0"}), out);
  EXPECT_EQ(bundle.config.num_classes(), 1);
  EXPECT_TRUE(bundle.config.class_names.empty());
  EXPECT_EQ(Generator(bundle).sample({.labels = {0, 0}}).size(), 2u);
}

TEST_F(FlowRecipe, AnotherNumberOfClassesIsRefusedBeforeTheFirstStage) {
  const TempFolder out;
  for (const char* change : {"model.dit.num_classes=9", "model.dit.num_classes=11"})
    EXPECT_NE(message_of<ConfigError>([&] {
                run_recipe(recipe_with({change}), run_in(out / "run"));
              }).find("tiny.yaml: model.dit.num_classes: expected 10"),
              std::string::npos);
  EXPECT_TRUE(out.entries().empty());
}

// Pictures of 8 x 16 have latents of 2 x 4 in all stages.
TEST_F(FlowRecipe, TrainsOnPicturesThatAreNotSquare) {
  const TempFolder out;
  const Bundle bundle = trained(recipe_with({"model.image_width=16", "model.encoder.table_w=4",
                                             "model.decoder.grid_w=4", "model.dit.grid_w=4"}),
                                out);
  EXPECT_EQ(bundle.latent_norm().mean.shape(), (Shape{8, 2, 4}));
  const std::vector<Image> pictures = Generator(bundle).sample({.labels = {3}});
  EXPECT_EQ(pictures.front().height(), 8);
  EXPECT_EQ(pictures.front().width(), 16);
}

// An encoder that is not square is used with larger pictures, which are resized for it.
TEST_F(FlowRecipe, PicturesAreResizedForANonSquareEncoder) {
  const TempFolder first, second;
  (void)trained(recipe_with({"model.image_width=16", "model.encoder.table_w=4",
                             "model.decoder.grid_w=4", "model.dit.grid_w=4"}),
                first);
  ConfigNode node = without("encoder");
  node.set("encoder", ConfigNode::map({{"pretrained", first / "model.safetensors"}}));
  for (const char* change : {"model.image_size=16", "model.image_width=32", "model.encoder_size=8",
                             "model.encoder_width=16", "model.decoder.patch_size=8",
                             "model.decoder.grid_w=4", "model.dit.grid_w=4"})
    node.apply_override(change);
  const Bundle bundle = trained(parse_recipe(node), second);
  EXPECT_EQ(bundle.config.latent_shape(), (Shape{8, 2, 4}));
  EXPECT_EQ(Generator(bundle).sample({.labels = {3}}).front().width(), 32);
}

// Recomputed activations are equal, so checkpointing may change when a run is continued.
TEST_F(FlowRecipe, CheckpointingMayChangeWhenARunContinues) {
  const TempFolder whole, broken;
  (void)trained(recipe_with({}), whole);
  RecipeRun run = run_in(broken.path());
  run.on_progress = [](const TrainingProgress& p) { return p.stage != "dit" || p.step < 3; };
  EXPECT_THROW(run_recipe(recipe_with({}), run), Cancelled);
  (void)trained(recipe_with({"dit.checkpointing=true"}), broken);
  EXPECT_EQ(slurp(broken / "model.safetensors"), slurp(whole / "model.safetensors"));
}

}  // namespace
}  // namespace rae::test
