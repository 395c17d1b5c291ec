// `rae train`: from a recipe and data to a model that generates pictures; interruption and errors.
#include <csignal>

#include "rae/io/image.hpp"
#include "support/idx_files.hpp"
#include "support/official_files.hpp"
#include "support/tiny_recipe.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

class Train : public ToolTest {
 protected:
  void SetUp() override {
    write("r.yaml", kTinyRecipe);
    write("data/train-images-idx3-ubyte", idx_images(10, 8, 8));
    write("data/train-labels-idx1-ubyte", idx_labels({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  }

  [[nodiscard]] ToolResult train(const std::string& out,
                                 const std::vector<std::string>& more = {}) const {
    return rae(arguments(out, more));
  }
  [[nodiscard]] static std::vector<std::string> arguments(const std::string& out,
                                                          const std::vector<std::string>& more) {
    std::vector<std::string> all{"train", "--recipe", "r.yaml", "--data", "data", "--out", out};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

TEST_F(Train, TrainsAModelThatGenerates) {
  const auto result = train("run");
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "wrote run/model.safetensors"));
  for (const std::string stage : {"encoder  4/4", "decoder  4/4", "dit  6/6"})
    EXPECT_TRUE(contains(result.err, stage + "  loss "));
  EXPECT_EQ(rae({"generate", "--model", "run/model.safetensors", "--class", "7", "--out", "a.png"})
                .status,
            0);
  EXPECT_EQ(Image::open(path("a.png")).width(), 8);
  EXPECT_TRUE(contains(rae({"info", "run/model.safetensors"}).out, "name: tiny"));
}

TEST_F(Train, FineTunesForNarrowWeights) {
  const std::vector<std::string> quantize{"--stage", "dit", "--quantize", "int4"};
  const auto early = train("run", quantize);
  EXPECT_EQ(early.status, 1);
  EXPECT_TRUE(contains(early.err, "the stage dit has trained 0 of 6 steps")) << early.err;
  EXPECT_EQ(train("run").status, 0);
  const std::string before = slurp(path("run/model.safetensors"));
  auto more = quantize;
  more.insert(more.end(), {"--set", "quantize.steps=3"});
  const auto planned = [&] {
    auto dry = more;
    dry.push_back("--dry-run");
    return train("run", dry);
  }();
  EXPECT_EQ(planned.status, 0) << planned.err;
  EXPECT_TRUE(contains(planned.out, "stage dit: trained from the beginning, 3 steps"));
  EXPECT_FALSE(std::filesystem::exists(path("run/dit-int4")));
  const auto tuned = train("run", more);
  EXPECT_EQ(tuned.status, 0) << tuned.err;
  EXPECT_TRUE(contains(tuned.err, "dit  3/3"));
  EXPECT_TRUE(contains(tuned.out, "wrote run/dit-int4/model.safetensors"));
  EXPECT_EQ(slurp(path("run/model.safetensors")), before);
  EXPECT_EQ(rae({"convert", "run/dit-int4/model.safetensors", "int4.safetensors", "--pack", "int4"})
                .status,
            0);
  const auto drawn =
      rae({"generate", "--model", "int4.safetensors", "--class", "7", "--out", "a.png"});
  EXPECT_EQ(drawn.status, 0) << drawn.err;
  EXPECT_EQ(train("run", {"--quantize", "int4"}).status, 1);
  EXPECT_EQ(train("run", {"--stage", "dit", "--quantize", "int8"}).status, 2);
}

TEST_F(Train, ReportsAndStoresTheAutomaticTimeShift) {
  const auto result = train("run", {"--set", "model.time_shift=auto", "--set", "model.path=gvp"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "time shift 1, chosen for latents of 32 numbers (8 x 2 x 2)"));
  const auto info = rae({"info", "run/model.safetensors"});
  EXPECT_TRUE(contains(info.out, "time_shift: 1"));
  EXPECT_TRUE(contains(info.out, "path: gvp"));
}

TEST_F(Train, OfficialConfigurationsOfStage1) {
  const ConfigNode stage_1 = ConfigNode::load(golden_model_path("config.yaml")).at("stage_1");
  const ConfigNode losses = ConfigNode::parse_yaml(
      "disc: {arch: {dino_ckpt_path: none.pth}}\nloss: {disc_weight: 0, perceptual_weight: 1}");
  const ConfigNode training = ConfigNode::parse_yaml(
      "{epochs: 2, batch_size: 5, scheduler: {type: cosine, decay_end_epoch: 2}}");
  write("golden/c.yaml",
        ConfigNode::map({{"stage_1", stage_1}, {"training", training}, {"gan", losses}}).to_json());
  for (const char* part : {"encoder", "decoder", "stats"})
    std::filesystem::create_directory_symlink(golden_model_path(part),
                                              path(std::string("golden/") + part));
  const std::vector<std::string> command{"train", "--recipe", "golden/c.yaml", "--data", "data",
                                         "--out", "run"};
  EXPECT_TRUE(contains(rae(command).err, "name their files (rae train --lpips"));
  auto without = command;
  without.insert(without.end(), {"--set", "gan.loss.perceptual_weight=0"});
  const auto result = rae(without);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.err, "decoder  4/4"));
  const std::string picture = golden_model_path("input.png");
  EXPECT_EQ(rae({"reconstruct", "--model", "run/model.safetensors", picture, "out.png"}).status, 0);
  EXPECT_EQ(Image::open(path("out.png")).width(), 64);
  EXPECT_EQ(train("run", {"--lpips", "x"}).status, 2);
}

TEST_F(Train, RunsSingleStagesAndSetsValues) {
  const auto early = train("run", {"--stage", "decoder"});
  EXPECT_EQ(early.status, 1);
  EXPECT_TRUE(contains(early.err, "run the stage encoder first"));
  const auto result = train("run", {"--stage", "encoder,decoder", "--stage", "statistics", "--set",
                                    "encoder.train.steps=2"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.err, "encoder  2/2"));
  EXPECT_EQ(result.err.find("dit"), std::string::npos);
}

TEST_F(Train, ContinuesWithOtherPicturesOnlyWhenAsked) {
  const std::vector<std::string> encoder{"--stage", "encoder"};
  auto accepting = encoder, fine_tuned = encoder;
  accepting.push_back("--accept-data-change");
  ASSERT_EQ(train("run", encoder).status, 0);
  write("data/train-images-idx3-ubyte", idx_images(11, 8, 8));
  write("data/train-labels-idx1-ubyte", idx_labels({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9}));
  const auto refused = train("run", encoder);
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(contains(refused.err, "--accept-data-change")) << refused.err;
  EXPECT_EQ(train("run", accepting).status, 0);
  EXPECT_TRUE(contains(rae({"info", "run/model.safetensors"}).out, "data_changes"));
  // Another run begins with the weights of this one.
  fine_tuned.insert(fine_tuned.end(), {"--init", "run/model.safetensors"});
  const auto result = train("next", fine_tuned);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "encoder: begins with the weights of run/model.safetensors"));
  EXPECT_EQ(train("run", fine_tuned).status, 1);  // it would write the file that it reads
}

TEST_F(Train, InBf16) {
  const std::vector<std::string> bf16{"--dtype", "bf16", "--stage", "encoder"};
  ASSERT_EQ(train("run", bf16).status, 0);
  const auto other = train("run", {"--stage", "encoder"});
  EXPECT_EQ(other.status, 1);
  EXPECT_TRUE(contains(other.err, "encoder.train"));
  EXPECT_EQ(train("run2", {"--dtype", "int8"}).status, 2);
  EXPECT_EQ(train("run3", {"--set", "encoder.train.dtype=bf16", "--stage", "encoder"}).status, 0);
  EXPECT_EQ(slurp(path("run3/encoder/checkpoint.safetensors")),
            slurp(path("run/encoder/checkpoint.safetensors")));
}

TEST_F(Train, CtrlCLeavesACheckpointToContinueFrom) {
  const std::vector<std::string> longer{"--stage", "encoder", "--set", "encoder.train.steps=4000"};
  ASSERT_EQ(train("whole", longer).status, 0);
  // On a busy machine the signal may arrive too late and the run completes; then another run is
  // tried.
  ToolResult stopped;
  std::string out;
  for (int attempt = 0; attempt < 20 && stopped.status != 1; ++attempt) {
    out = "run" + std::to_string(attempt);
    const pid_t child = start(arguments(out, longer));
    for (int i = 0; i < 60000 && !exists(out + "/encoder/log.jsonl"); ++i) ::usleep(1000);
    EXPECT_EQ(::kill(child, SIGINT), 0);
    stopped = finish(child);
  }
  EXPECT_EQ(stopped.status, 1);
  EXPECT_TRUE(contains(
      stopped.err,
      "rae: error: interrupted; the same command continues from the checkpoint in '" + out + "'"));
  EXPECT_TRUE(exists(out + "/encoder/checkpoint.safetensors"));
  EXPECT_EQ(rae({"info", out + "/model.safetensors"}).status, 0);  // with the average so far
  ASSERT_EQ(train(out, longer).status, 0);
  EXPECT_EQ(slurp(path(out + "/model.safetensors")), slurp(path("whole/model.safetensors")));
}

TEST_F(Train, ADryRunChecksAndWritesNothing) {
  const auto before = files();
  const auto result = train("run", {"--dry-run"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "train: 10 pictures in 10 classes (0 1, 1 1, "));
  EXPECT_TRUE(contains(result.out, "encoder: 4 steps of 6 pictures, at least "));
  EXPECT_TRUE(contains(result.out, "nothing was trained or written (--dry-run)"));
  EXPECT_EQ(files(), before);
  EXPECT_EQ(train("no/run", {"--dry-run"}).status, 1);
  EXPECT_EQ(train("run", {"--dry-run", "--set", "model.dit.num_classes=4"}).status, 1);
  EXPECT_EQ(files(), before);
}

TEST_F(Train, ADryRunComparesWithTheCheckpointsThatAreThere) {
  ASSERT_EQ(train("run", {"--stage", "encoder"}).status, 0);
  const std::string before = slurp(path("run/stages.json"));
  const auto valid = train("run", {"--dry-run"});
  EXPECT_EQ(valid.status, 0) << valid.err;
  EXPECT_TRUE(contains(valid.out, "stage encoder: valid: complete after 4 steps"));
  EXPECT_TRUE(contains(valid.out, "stage decoder: trained from the beginning, 4 steps"));
  const auto more = train("run", {"--dry-run", "--set", "encoder.train.decay_end_step=4", "--set",
                                  "encoder.train.steps=9"});
  EXPECT_EQ(more.status, 1);
  EXPECT_TRUE(contains(more.out, "stage encoder: refused: "));
  EXPECT_TRUE(contains(more.err, "the stage encoder would be refused"));
  EXPECT_EQ(slurp(path("run/stages.json")), before);
}

TEST_F(Train, TakesTheClassesOfTheDataAndSkipsBrokenPictures) {
  std::string recipe = kTinyRecipe;
  const std::string classes = " num_classes: 10,";
  recipe.erase(recipe.find(classes), classes.size());
  write("open.yaml", recipe);
  for (const std::string name : {"large/0", "large/1", "small/0", "small/1", ".hidden/0"}) {
    std::filesystem::create_directories(path("pictures/" + name.substr(0, name.find('/'))));
    Image(8, 8, 3, static_cast<std::uint8_t>(name.size() * 9))
        .save_png(path("pictures/" + name + ".png"));
  }
  write("pictures/small/._0.png", "x");
  write("pictures/small/2.png", "x");
  const std::vector<std::string> command{"train", "-r",  "open.yaml", "-d",     "pictures",
                                         "-o",    "run", "--stage",   "encoder"};
  const auto refused = rae(command);
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(contains(refused.err, "1 picture in 'pictures' cannot be read"));
  EXPECT_TRUE(contains(refused.err, "\n  pictures/small/2.png: "));
  EXPECT_FALSE(exists("run"));
  auto skipping = command;
  skipping.push_back("--skip-broken");
  const auto result = rae(skipping);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out,
                       "train: 4 pictures in 2 classes (large 2, small 2); 1 skipped (1 broken: "
                       "pictures/small/2.png)"));
  EXPECT_TRUE(contains(result.out, "note: all 4 pictures with colour become gray"));
  EXPECT_TRUE(
      contains(rae({"info", "run/model.safetensors"}).out, "class_names: [\"large\",\"small\"]"));
}

struct BadTraining {
  std::string name;
  std::vector<std::string> arguments;
  std::string message;
};

void PrintTo(const BadTraining& row, std::ostream* out) { *out << row.name; }

class BadTrainingTable : public Train, public testing::WithParamInterface<BadTraining> {};

TEST_P(BadTrainingTable, FailsWithStatusOneBeforeAnyFileIsCreated) {
  const auto before = files();
  std::vector<std::string> arguments{"train"};
  arguments.insert(arguments.end(), GetParam().arguments.begin(), GetParam().arguments.end());
  const auto result = rae(arguments);
  EXPECT_EQ(result.status, 1) << result.err;
  EXPECT_TRUE(contains(result.err, GetParam().message));
  EXPECT_EQ(files(), before);
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadTrainingTable,
    testing::Values(
        BadTraining{
            "NoRecipe", {"--recipe", "no.yaml", "--data", "data", "--out", "run"}, "no.yaml"},
        BadTraining{"RecipeIsAnotherFile",
                    {"--recipe", "data/train-images-idx3-ubyte", "--data", "data", "--out", "run"},
                    "idx3-ubyte"},
        BadTraining{"NoData", {"--recipe", "r.yaml", "--data", "no", "--out", "run"}, "no"},
        BadTraining{"NoFolder",
                    {"--recipe", "r.yaml", "--data", "data", "--out", "no/run"},
                    "'no' does not exist"},
        BadTraining{"FolderIsAFile",
                    {"--recipe", "r.yaml", "--data", "data", "--out", "r.yaml"},
                    "is not a folder"},
        BadTraining{
            "Stage2",
            {"--recipe", golden_model_path("config.yaml"), "--data", "data", "--out", "run"},
            "rae trains one by a recipe, whose 'encoder.pretrained'"},
        BadTraining{
            "UnknownKey",
            {"--recipe", "r.yaml", "--data", "data", "--out", "run", "--set", "dit.train.stps=3"},
            "stps"},
        BadTraining{"WrongType",
                    {"--recipe", "r.yaml", "--data", "data", "--out", "run", "--set",
                     "dit.train.steps=many"},
                    "dit.train.steps"}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace rae::test
