// `rae convert --pack auto`: the table, the cache beside the model, the limits, and errors.
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "rae/formats/model_files.hpp"
#include "rae/generate/generator.hpp"
#include "rae/io/dataset.hpp"
#include "rae/io/file.hpp"
#include "rae/io/image.hpp"
#include "rae/train/classifier_score.hpp"
#include "rae/train/classifier_trainer.hpp"
#include "support/picture_folder.hpp"
#include "support/tiny_bundle.hpp"
#include "support/tiny_classifier.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;

class AutoPackTest : public ToolTest {
 protected:
  void SetUp() override {
    ToolTest::SetUp();
    tiny_bundle().save(path("in.safetensors"));
  }
  ToolResult pack(std::vector<std::string> more, const std::string& out = "out.safetensors") {
    std::vector<std::string> all{"convert", "in.safetensors", out, "--pack",
                                 "auto",    "--calibration",  "24"};
    all.insert(all.end(), more.begin(), more.end());
    return rae(all);
  }
};

TEST_F(AutoPackTest, WritesABundleThatGeneratesAndPrintsItsTypes) {
  const auto packed = pack({"--max-loss", "5%"});
  ASSERT_EQ(packed.status, 0) << packed.err;
  const ModelFiles files = ModelFiles::open(path("out.safetensors"));
  ASSERT_FALSE(files.layer_types.empty());
  for (const auto& [name, type] : files.layer_types)
    EXPECT_TRUE(contains(packed.out, name)) << name_of(type);
  EXPECT_TRUE(contains(packed.out, "layer"));
  EXPECT_TRUE(contains(packed.out, "sensitivity"));
  EXPECT_TRUE(contains(packed.out, "dit: layers of "));
  EXPECT_TRUE(contains(packed.out, "out.safetensors: bundle, "));
  const auto drawn = rae(
      {"generate", "--model", "out.safetensors", "--class", "1", "--seed", "4", "--out", "a.png"});
  ASSERT_EQ(drawn.status, 0) << drawn.err;
  const auto told = rae({"info", "a.png"});
  EXPECT_TRUE(contains(told.out, "mixed")) << told.out;
  const auto info = rae({"info", "out.safetensors"});
  EXPECT_TRUE(contains(info.out, "packed for: ")) << info.out;
  EXPECT_TRUE(contains(info.out, " int4 layers\n") || contains(info.out, " int8 layers\n") ||
              contains(info.out, " int8w layers\n"))
      << info.out;
  EXPECT_FALSE(contains(info.out, "dit.blocks.0.attn.qkv.weight")) << info.out;
}

TEST_F(AutoPackTest, KeepsTheBudget) {
  const auto size_of = [&](const std::string& name) { return fs::file_size(path(name)); };
  ASSERT_EQ(rae({"convert", "in.safetensors", "f32.safetensors", "--pack", "f32"}).status, 0);
  const auto budget = size_of("f32.safetensors") * 6 / 10;
  const auto packed = pack({"--budget", std::to_string(budget)});
  ASSERT_EQ(packed.status, 0) << packed.err;
  EXPECT_LE(size_of("out.safetensors"), budget);
  EXPECT_GT(size_of("out.safetensors"), budget / 2);
  const auto small = pack({"--budget", "1kB"}, "small.safetensors");
  EXPECT_EQ(small.status, 1);
  EXPECT_TRUE(contains(small.err, "a packed bundle takes at least ")) << small.err;
  EXPECT_FALSE(fs::exists(path("small.safetensors")));
}

// The smallest possible file is known without a measurement.
TEST_F(AutoPackTest, RefusesABudgetBeforeItMeasures) {
  const auto small = pack({"--budget", "1kB"});
  EXPECT_EQ(small.status, 1);
  EXPECT_FALSE(contains(small.err, "calibration")) << small.err;
  EXPECT_FALSE(contains(small.err, "layers  ")) << small.err;
  EXPECT_EQ(files(), std::vector<std::string>{"in.safetensors"});
}

TEST_F(AutoPackTest, SensitivitiesAreMeasuredOnceForAModel) {
  ASSERT_EQ(pack({"--max-loss", "5%"}).status, 0);
  const std::string cache = path("in.safetensors.sensitivities.json");
  ASSERT_TRUE(fs::exists(cache));
  const std::string before = slurp(cache);
  const auto written = fs::last_write_time(cache);
  ASSERT_EQ(pack({"--max-loss", "1%"}, "b.safetensors").status, 0);
  EXPECT_EQ(fs::last_write_time(cache), written);
  // Another number of latents, and another model, are measured again.
  const auto other = rae({"convert", "in.safetensors", "c.safetensors", "--pack", "auto",
                          "--calibration", "12", "--max-loss", "5%"});
  ASSERT_EQ(other.status, 0) << other.err;
  EXPECT_NE(slurp(cache), before);
  ASSERT_EQ(pack({"--max-loss", "5%"}, "d.safetensors").status, 0);
  EXPECT_EQ(slurp(cache), before);
  EXPECT_EQ(slurp(path("d.safetensors")), slurp(path("out.safetensors")));
  tiny_bundle(2).save(path("in.safetensors"));
  ASSERT_EQ(pack({"--max-loss", "5%"}, "e.safetensors").status, 0);
  EXPECT_NE(slurp(cache), before);
  write("in.safetensors.sensitivities.json", "{");
  const auto damaged = pack({"--max-loss", "5%"}, "f.safetensors");
  EXPECT_EQ(damaged.status, 1);
  EXPECT_TRUE(contains(damaged.err, "remove the file, and it is written again")) << damaged.err;
}

TEST_F(AutoPackTest, CalibratesOnPictures) {
  const TempFolder data;
  write_picture_folder(data);
  const auto packed = pack({"--max-loss", "5%", "--data", data.path()});
  ASSERT_EQ(packed.status, 0) << packed.err;
  ASSERT_EQ(pack({"--max-loss", "5%"}, "own.safetensors").status, 0);
  EXPECT_FALSE(ModelFiles::open(path("out.safetensors")).layer_types.empty());
}

TEST_F(AutoPackTest, RefusesOptionsThatDoNotFit) {
  const auto fails = [&](const std::vector<std::string>& more, const std::string& message) {
    std::vector<std::string> all{"convert", "in.safetensors", "out.safetensors"};
    all.insert(all.end(), more.begin(), more.end());
    const auto result = rae(all);
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_TRUE(contains(result.err, message)) << result.err;
  };
  fails({"--pack", "auto"}, "give --budget SIZE or --max-loss SHARE");
  fails({"--pack", "auto", "--budget", "1MB", "--max-loss", "1%"}, "excludes");
  fails({"--pack", "int4", "--budget", "1MB"}, "--budget: applies to --pack auto");
  fails({"--data", "."}, "--data: applies to --pack auto");
  fails({"--pack", "auto", "--max-loss", "1%", "--dtype", "bf16"}, "excludes");
  EXPECT_FALSE(fs::exists(path("out.safetensors")));
}

TEST_F(AutoPackTest, TheClassifierMustJudgeTheModelsPictures) {
  const auto result = pack({"--max-loss", "5%", "--classifier", "in.safetensors"});
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(contains(result.err, "is not a classifier")) << result.err;
}

/// The share of `count` samples that a classifier assigns to their class, in percent as it is
/// printed.
std::string consistency_of(const Generator& generator, const Classifier<Tensor<float>>& classifier,
                           index_t count) {
  GenerateOptions how;
  how.seed = 1;
  for (index_t i = 0; i < count; ++i) how.labels.push_back(i % 3);
  Tensor<float> pixels = generator.decode_pixels(generator.sample_latents(how));  // (B, 1, 8, 8)
  for (float& value : pixels.span()) value = std::clamp(value, 0.0f, 1.0f);
  ClassifierScore score(classifier);
  score.add(pixels, how.labels);
  char text[32];
  std::snprintf(text, sizeof text, "%.3g %%", 100 * score.accuracy());
  return text;
}

TEST_F(AutoPackTest, PrintsTheClassConsistencyOfTheClassifier) {
  const TempFolder data;
  write_picture_folder(data);
  const auto pictures = open_dataset(data.path(), Split::train, {.size = 8, .channels = 1});
  const ClassifierOptions options = tiny_classifier_options(60);
  (void)cached_classifier(path("classifier.safetensors"), pictures, options);
  const auto classifier = load_classifier(path("classifier.safetensors"));
  const auto packed = pack({"--max-loss", "90%", "--classifier", "classifier.safetensors"});
  ASSERT_EQ(packed.status, 0) << packed.err;
  const auto files = ModelFiles::open(path("out.safetensors"));
  const std::string line =
      "class consistency of 24 samples: " + consistency_of(Generator(files), classifier, 24) +
      ", f32 " + consistency_of(Generator::load(path("in.safetensors")), classifier, 24) + "\n";
  EXPECT_TRUE(contains(packed.out, line)) << packed.out << line;
  // With a limit of bytes it is printed, too, for the mix that fits.
  ASSERT_EQ(rae({"convert", "in.safetensors", "f32.safetensors", "--pack", "f32"}).status, 0);
  const auto budget = fs::file_size(path("f32.safetensors")) * 6 / 10;
  const auto small =
      pack({"--budget", std::to_string(budget), "--classifier", "classifier.safetensors"},
           "small.safetensors");
  ASSERT_EQ(small.status, 0) << small.err;
  EXPECT_TRUE(contains(
      small.out, "class consistency of 24 samples: " +
                     consistency_of(Generator::load(path("small.safetensors")), classifier, 24)))
      << small.out;

  const ClassifierOptions quick = tiny_classifier_options(2);
  (void)cached_classifier(path("large.safetensors"),
                          open_dataset(data.path(), Split::train, {.size = 12, .channels = 1}),
                          quick);
  const auto refused = pack({"--max-loss", "5%", "--classifier", "large.safetensors"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(contains(refused.err, "judges pictures of shape (1, 12, 12) in 3 classes"))
      << refused.err;
}

}  // namespace
}  // namespace rae::test
