// `RecipeRun::init`: stages that begin with the weights of another model.
#include <gtest/gtest.h>

#include <filesystem>

#include "rae/formats/bundle.hpp"
#include "rae/io/safetensors.hpp"
#include "support/picture_folder.hpp"

namespace rae::test {
namespace {

/// One step with a rate so small that no weight changes visibly.
Recipe one_step(std::initializer_list<const char*> changes = {}) {
  ConfigNode node = ConfigNode::parse_yaml(kTinyRecipe, "tiny.yaml");
  for (const char* change : {"model.dit.num_classes=3", "encoder.train.steps=1",
                             "decoder.train.steps=1", "dit.train.steps=1"})
    node.apply_override(change);
  for (const std::string stage : {"encoder", "decoder", "dit"})
    for (const char* rate : {"lr", "final_lr"})
      node.apply_override(stage + ".train." + rate + "=1e-12");
  for (const char* change : changes) node.apply_override(change);
  return parse_recipe(node);
}

class InitialModels : public testing::Test {
 protected:
  void SetUp() override {
    write_picture_folder(data_);
    train(three_class_recipe(), "first", "");
    init_ = out_ / "first/model.safetensors";
  }

  std::string train(const Recipe& recipe, const std::string& name, const std::string& init) const {
    RecipeRun run;
    run.data = data_.path();
    run.out = out_ / name;
    run.samples = 0;
    run.init = init;
    run.stored_as = DType::f32;
    std::string events;
    run.on_event = [&](const std::string& event) { events += event + "\n"; };
    run_recipe(recipe, run);
    return events;
  }
  [[nodiscard]] Bundle bundle(const std::string& name) const {
    return Bundle::load(out_ / (name + "/model.safetensors"));
  }

  TempFolder data_, out_;
  std::string init_;
};

/// The largest difference of two tensors of one shape.
double difference(const Tensor<float>& a, const Tensor<float>& b) {
  EXPECT_EQ(a.shape(), b.shape());
  double most = 0;
  for (index_t i = 0; i < std::min(a.numel(), b.numel()); ++i)
    most = std::max(most, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return most;
}

TEST_F(InitialModels, AllStagesBeginWithItsWeights) {
  const std::string events = train(one_step(), "a", init_);
  EXPECT_NE(events.find("dit: begins with the weights of " + init_ + "; 3 of 3 classes are known"),
            std::string::npos)
      << events;
  const Bundle from = bundle("first"), to = bundle("a");
  for (const auto& [name, tensor] : from.tensors)
    if (name.rfind("latent_norm.", 0) != 0) {
      EXPECT_LT(difference(tensor, to.tensors.at(name)), 1e-6) << name;
    }
}

TEST_F(InitialModels, RowsOfTheLabelTableAreFoundByTheNamesOfTheClasses) {
  write_picture(data_ / "aaa/0.png", 50);  // a new class, before the others
  std::filesystem::rename(data_ / "medium", data_ / "other");
  const std::string events =
      train(one_step({"model.dit.num_classes=4", "dit.train.seed=9"}), "a", init_);
  EXPECT_NE(events.find("2 of 4 classes are known (large, small)"), std::string::npos) << events;
  const std::string name = "dit.y_embedder.embedding_table.weight";
  const Tensor<float> from = bundle("first").tensors.at(name),  // (4, D)
      to = bundle("a").tensors.at(name);                        // (5, D)
  const auto equal = [&](index_t a, index_t b) {
    for (index_t i = 0; i < 8; ++i)
      if (std::abs(from[a * 8 + i] - to[b * 8 + i]) > 1e-6f) return false;
    return true;
  };
  EXPECT_TRUE(equal(0, 1));  // large
  EXPECT_TRUE(equal(2, 3));  // small
  EXPECT_TRUE(equal(3, 4));  // the null class
  for (index_t old = 0; old < 4; ++old) EXPECT_FALSE(equal(old, 0) || equal(old, 2));
}

TEST_F(InitialModels, PositionTablesAreResized) {
  const auto larger = {"model.image_size=16",     "model.encoder.table_h=4",
                       "model.encoder.table_w=4", "model.decoder.grid_h=4",
                       "model.decoder.grid_w=4",  "model.dit.grid_h=4",
                       "model.dit.grid_w=4"};
  train(one_step(larger), "a", init_);
  const Bundle from = bundle("first"), to = bundle("a");
  EXPECT_EQ(to.tensors.at("decoder.decoder_pos_embed").shape(), (Shape{1, 17, 8}));
  // The mean over the positions stays about the same; the class token's row stays as it is.
  for (const char* name : {"encoder.pos_embed", "dit.pos_embed"}) {
    double a = 0, b = 0;
    for (const float v : from.tensors.at(name).span()) a += static_cast<double>(v) / 32;
    for (const float v : to.tensors.at(name).span()) b += static_cast<double>(v) / 128;
    EXPECT_NEAR(a, b, 1e-3) << name;
  }
  const Tensor<float>& decoder = to.tensors.at("decoder.decoder_pos_embed");
  for (index_t i = 0; i < 8; ++i)
    EXPECT_NEAR(decoder[i], from.tensors.at("decoder.decoder_pos_embed")[i], 1e-6);
}

TEST_F(InitialModels, ItBelongsToTheCheckpoints) {
  const Recipe recipe = three_class_recipe({"dit.train.seed=9"});
  train(recipe, "a", init_);
  const std::string before = slurp(out_ / "a/model.safetensors");
  train(recipe, "a", init_);
  EXPECT_EQ(slurp(out_ / "a/model.safetensors"), before);
  EXPECT_NE(message_of<ConfigError>([&] { train(recipe, "a", ""); }).find("init is missing"),
            std::string::npos);
  train(recipe, "b", "");
  EXPECT_NE(message_of<ConfigError>([&] { train(recipe, "b", init_); }).find("init is new"),
            std::string::npos);
  EXPECT_NE(message_of<ConfigError>([&] {
              train(recipe, "a", out_ / "b/model.safetensors");
            }).find("init is"),
            std::string::npos);
  EXPECT_NE(message_of<ConfigError>([&] {
              train(recipe, "a", out_ / "a/model.safetensors");
            }).find("the model that it writes"),
            std::string::npos);
}

TEST_F(InitialModels, RefusesNetworksThatDoNotFitWithTheReason) {
  const struct {
    std::initializer_list<const char*> changes;
    const char* reason;
  } cases[] = {
      {{"model.encoder.intermediate_size=12"}, "encoder.layers.0"},
      {{"model.encoder.num_layers=2"}, "is missing, which the network of the recipe has"},
      {{"model.decoder.hidden_size=12"}, "decoder.decoder_pos_embed: expected (1, 5, 12)"},
      {{"model.dit.use_qknorm=true"}, "is missing"},
  };
  for (const auto& c : cases) {
    const std::string message =
        message_of<ConfigError>([&] { train(one_step(c.changes), "a", init_); });
    EXPECT_NE(message.find(c.reason), std::string::npos) << message;
  }
  EXPECT_FALSE(std::filesystem::exists(out_ / "a"));
  EXPECT_THROW(train(one_step(), "a", out_ / "none"), FileError);
}

}  // namespace
}  // namespace rae::test
