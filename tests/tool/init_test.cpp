// `rae init`, and `rae train` without a recipe.
#include <cmath>

#include "rae/io/config.hpp"
#include "rae/io/image.hpp"
#include "support/cifar_files.hpp"
#include "support/idx_files.hpp"
#include "support/official_files.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

/// Coloured discs and squares of 24 x 24 pixels on gray, six of each.
class Init : public ToolTest {
 protected:
  void SetUp() override {
    for (int i = 0; i < 12; ++i) {
      const bool disc = i < 6;
      Image picture(24, 24, 3);
      for (index_t k = 0; k < 24 * 24; ++k) {
        const double x = static_cast<double>(k % 24) - 10 - i % 3,
                     y = static_cast<double>(k / 24) - 11;
        const bool inside = disc ? x * x + y * y < 64 : std::max(std::abs(x), std::abs(y)) < 7;
        for (int c = 0; c < 3; ++c)
          picture.pixels()[static_cast<std::size_t>(3 * k + c)] =
              static_cast<std::uint8_t>(inside ? 60 * ((i + c) % 4) + 60 : 80);
      }
      const std::string folder = disc ? "shapes/disc" : "shapes/square";
      std::filesystem::create_directories(path(folder));
      picture.save_png(path(folder + "/" + std::to_string(i) + ".png"));
    }
  }
};

TEST_F(Init, WritesARecipeThatTrainChecks) {
  const std::vector<std::string> command{"init",    "--data", "shapes", "--minutes", "2",
                                         "--speed", "100",    "--out",  "r.yaml"};
  const auto result = rae(command);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "wrote r.yaml"));
  EXPECT_TRUE(contains(result.err, "train: 12 pictures in 2 classes (disc 6, square 6)"));
  const ConfigNode recipe = ConfigNode::load(path("r.yaml"));
  EXPECT_EQ(recipe.at("model").at("image_size").as_integer(), 32);  // of 24 pixels
  EXPECT_EQ(recipe.at("model").at("dit").at("num_classes").as_integer(), 2);
  EXPECT_EQ(rae({"train", "-r", "r.yaml", "-d", "shapes", "-o", "run", "--dry-run"}).status, 0);
  EXPECT_FALSE(exists("run"));

  const auto again = rae(command);
  EXPECT_EQ(again.status, 1);
  EXPECT_TRUE(contains(again.err, "'r.yaml' exists; --overwrite replaces it"));
  auto overwrite = command;
  overwrite.insert(overwrite.end(), {"--overwrite", "--size", "64"});
  EXPECT_EQ(rae(overwrite).status, 0);
  EXPECT_EQ(ConfigNode::load(path("r.yaml")).at("model").at("image_size").as_integer(), 64);
}

TEST_F(Init, ReadsCifarAsTheOtherCommandsDo) {
  const TempFolder data;
  write_cifar10(data);
  const auto result = rae({"init", "--data", data.path(), "--speed", "100", "--out", "r.yaml"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.err, "train: 10 pictures in 10 classes (airplane 1,"));
  const ConfigNode recipe = ConfigNode::load(path("r.yaml"));
  EXPECT_EQ(recipe.at("model").at("image_size").as_integer(), 32);
  EXPECT_EQ(recipe.at("model").at("dit").at("num_classes").as_integer(), 10);
  const auto planned = rae({"train", "-r", "r.yaml", "-d", data.path(), "-o", "run", "--dry-run"});
  EXPECT_EQ(planned.status, 0) << planned.err;
  (void)data.write("data_batch_2.bin", "damaged");
  const auto damaged = rae({"train", "-r", "r.yaml", "-d", data.path(), "-o", "run", "--dry-run"});
  EXPECT_NE(damaged.status, 0);
  EXPECT_TRUE(contains(damaged.err, "data_batch_2.bin: CIFAR-10: expected records of 3073 bytes"));
}

TEST_F(Init, TheSameSpeedGivesTheSameRecipe) {
  const std::vector<std::string> command{"init", "-d", "shapes", "--speed", "100", "-o", "-"};
  const auto first = rae(command), second = rae(command);
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_EQ(first.out, second.out);
  EXPECT_TRUE(contains(first.out, "time_shift: auto"));
}

TEST_F(Init, RefusesBeforeThePicturesAreRead) {
  EXPECT_EQ(rae({"init", "-d", "shapes", "-o", "r.txt"}).status, 2);
  EXPECT_EQ(rae({"init", "-d", "shapes", "-o", "none/r.yaml"}).status, 1);
  EXPECT_EQ(rae({"init", "-d", "shapes", "-o", "r.yaml", "--size", "48"}).status, 2);
  EXPECT_EQ(rae({"init", "-d", "shapes", "-o", "r.yaml", "--minutes", "0"}).status, 2);
  EXPECT_EQ(rae({"init", "-d", "nowhere", "-o", "r.yaml"}).status, 1);
  EXPECT_FALSE(exists("r.yaml"));
}

TEST_F(Init, TakesThePretrainedEncoderOfAFolder) {
  const std::string encoder = golden_model_path("encoder");
  const auto result =
      rae({"init", "-d", "shapes", "--pretrained", encoder, "--speed", "100", "-o", "r.yaml"});
  EXPECT_EQ(result.status, 0) << result.err;
  const ConfigNode recipe = ConfigNode::load(path("r.yaml"));
  EXPECT_EQ(recipe.at("encoder").at("pretrained").as_string(), encoder);
  EXPECT_FALSE(recipe.at("model").contains("encoder"));
  EXPECT_FALSE(recipe.at("model").contains("pixels"));  // those of the encoder
  const auto checked = rae({"train", "-r", "r.yaml", "-d", "shapes", "-o", "run", "--dry-run"});
  EXPECT_EQ(checked.status, 0) << checked.err;
  EXPECT_FALSE(contains(checked.out, "\nencoder: "));  // there is no stage 0
  EXPECT_EQ(rae({"train", "-r", "r.yaml", "-d", "shapes", "-o", "run", "--size", "32"}).status, 2);
}

TEST_F(Init, TrainsOnAPretrainedEncoderToTheLastSample) {
  const auto trained = rae({"train", "-d", "shapes", "-o", "run", "--pretrained",
                            golden_model_path("encoder"), "--speed", "0.01", "--minutes", "0.1"});
  EXPECT_EQ(trained.status, 0) << trained.err;
  EXPECT_TRUE(exists("run/report.html"));
  EXPECT_TRUE(exists("run/samples/step-0000020.png"));
  EXPECT_TRUE(exists("run/reconstructions/step-0000020.png"));
  const auto drawn = rae({"generate", "-m", "run/model.safetensors", "--class", "square", "--count",
                          "2", "--out", "two.png"});
  EXPECT_EQ(drawn.status, 0) << drawn.err;
  EXPECT_EQ(Image::open(path("two.png")).height(), 32);
}

TEST_F(Init, MeasuresTheStepsOfThisMachine) {
  for (const std::string& encoder : {std::string(), golden_model_path("encoder")}) {
    std::vector<std::string> command{"init", "-d", "shapes", "--minutes", "1", "-o", "-"};
    if (!encoder.empty()) command.insert(command.end(), {"--pretrained", encoder});
    const auto result = rae(command);
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_TRUE(contains(result.out, "A step took"));
  }
}

TEST_F(Init, PlansForTheFilesOfMnist) {
  std::filesystem::create_directories(path("digits"));
  write("digits/train-images-idx3-ubyte", idx_images(6, 28, 28));
  write("digits/train-labels-idx1-ubyte", idx_labels({0, 1, 2, 0, 1, 2}));
  write("digits/t10k-images-idx3-ubyte", idx_images(3, 28, 28));
  write("digits/t10k-labels-idx1-ubyte", idx_labels({0, 1, 2}));
  const auto result =
      rae({"init", "-d", "digits", "--minutes", "0.1", "--speed", "0.01", "-o", "r.yaml"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.err, "planned: 32 x 32 pixels, 3 classes"));
  const ConfigNode recipe = ConfigNode::load(path("r.yaml"));
  EXPECT_EQ(recipe.at("model").at("encoder").at("channels").as_integer(), 1);
  // Digits must not be mirrored.
  EXPECT_FALSE(recipe.at("dit").at("flow").at("augmentation").at("flip").as_bool());
  const auto trained = rae({"train", "-r", "r.yaml", "-d", "digits", "-o", "run"});
  EXPECT_EQ(trained.status, 0) << trained.err;
  EXPECT_EQ(
      rae({"generate", "-m", "run/model.safetensors", "--class", "2", "--out", "digit.png"}).status,
      0);
  EXPECT_EQ(Image::open(path("digit.png")).channels(), 1);
}

TEST_F(Init, BrokenPicturesAreNamed) {
  write("shapes/disc/broken.png", "no picture");
  const auto result = rae({"init", "-d", "shapes", "--speed", "100", "-o", "r.yaml"});
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(contains(result.err, "disc/broken.png"));
  EXPECT_FALSE(exists("r.yaml"));
  EXPECT_EQ(rae({"init", "-d", "shapes", "--speed", "100", "-o", "r.yaml", "--skip-broken"}).status,
            0);
}

TEST_F(Init, TrainWithoutARecipePlansOneAndContinuesWithIt) {
  // A slow machine on paper: every stage gets the fewest steps.
  const std::vector<std::string> command{"train", "--data", "shapes", "--out", "run"};
  auto first = command;
  first.insert(first.end(), {"--speed", "0.01", "--minutes", "0.1"});
  const auto result = rae(first);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "wrote run/recipe.yaml"));
  EXPECT_TRUE(contains(result.err, "dit  20/20"));
  EXPECT_EQ(
      rae({"generate", "-m", "run/model.safetensors", "--class", "disc", "--out", "a.png"}).status,
      0);
  EXPECT_EQ(Image::open(path("a.png")).width(), 32);

  const auto second = rae(command);
  EXPECT_EQ(second.status, 0) << second.err;
  EXPECT_TRUE(contains(second.out, "continuing with run/recipe.yaml"));
  EXPECT_EQ(second.err.find("dit  1/"), std::string::npos);
  const auto changed = rae(first);
  EXPECT_EQ(changed.status, 2);
  EXPECT_TRUE(contains(changed.err, "'run/recipe.yaml' exists"));

  // The training of another recipe is not mixed with a planned one.
  std::filesystem::rename(path("run/recipe.yaml"), path("other.yaml"));
  const auto without = rae(command);
  EXPECT_EQ(without.status, 2);
  EXPECT_TRUE(contains(without.err, "'run' has a training whose recipe is not there"));
  EXPECT_FALSE(exists("run/recipe.yaml"));
}

}  // namespace
}  // namespace rae::test
