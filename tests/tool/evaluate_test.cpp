// `rae evaluate --data`: writes a report to stdout and to a folder.
#include <csignal>
#include <cstdlib>

#include "rae/core/random.hpp"
#include "rae/io/image.hpp"
#include "support/tiny_bundle.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

class Evaluate : public ToolTest {
 protected:
  void SetUp() override {
    tiny_bundle().save(path("m.safetensors"));
    std::uint64_t seed = 0;
    for (const std::string part : {"train", "test"})
      for (const std::string name : {"circle", "square", "star"}) {
        const std::string folder = "data/" + part + "/" + name;
        std::filesystem::create_directories(path(folder));
        for (int i = 0; i < 4; ++i) {
          Image image(8, 8, 1);
          const Philox random(++seed, 0);
          for (std::size_t p = 0; p < image.pixels().size(); ++p)
            image.pixels()[p] = static_cast<std::uint8_t>(255 * random.uniform(p));
          image.save_png(path(folder + "/" + std::to_string(i) + ".png"));
        }
      }
  }
};

TEST_F(Evaluate, ReportsReconstructionAndProbes) {
  const auto result = rae({"evaluate", "--model", "m.safetensors", "--data", "data", "--out", "e",
                           "--samples", "0", "--guided-samples", "0"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "12 training and 12 test pictures"));
  EXPECT_TRUE(contains(result.out, "reconstruction PSNR"));
  EXPECT_TRUE(contains(result.out, "k-NN"));
  EXPECT_TRUE(exists("e/evaluation.json"));
  EXPECT_TRUE(contains(result.err, "reconstruction  12/12\n")) << result.err;
}

TEST_F(Evaluate, SaysWhichPicturesItUses) {
  const std::vector<std::string> command{
      "evaluate",         "-m", "m.safetensors", "-o",          "e", "--samples", "0",
      "--guided-samples", "0",  "--no-probes",   "--overwrite", "-d"};
  auto with_test = command, without = command;
  with_test.push_back("data");
  without.push_back("data/train");
  const auto both = rae(with_test);
  EXPECT_TRUE(contains(both.err,
                       "train: 12 pictures in 3 classes (circle 4, square 4, star 4), "
                       "12 test\n"));
  EXPECT_TRUE(contains(both.err, "test: 12 pictures in 3 classes"));
  EXPECT_FALSE(contains(both.err, "no test part"));
  EXPECT_TRUE(contains(rae(without).err,
                       "the data have no test part, so the test pictures are those of the "
                       "training"));
}

// Of four pictures of a class the training holds out one, and says so in a note of the bundle.
TEST_F(Evaluate, UsesThePicturesThatTheTrainingHeldOut) {
  Bundle bundle = tiny_bundle();
  bundle.notes["held_out"] = "0.25";
  bundle.save(path("m.safetensors"));
  const std::vector<std::string> command{
      "evaluate", "-m", "m.safetensors", "-o",          "e",           "--samples",
      "0",        "-d", "data/train",    "--overwrite", "--no-probes", "--guided-samples",
      "0"};
  const auto result = rae(command);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.err,
                       "the data have no test part, so the test pictures are the 3 that the "
                       "training has held out"))
      << result.err;
  EXPECT_TRUE(contains(result.out, "9 training and 3 test pictures")) << result.out;
  bundle.notes["held_out"] = "some";
  bundle.save(path("m.safetensors"));
  const auto refused = rae(command);
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(
      contains(refused.err, "the note held_out: expected a number between 0 and 1, got 'some'"));
}

/// Waits until a program has written this to stderr.
void wait_for(const std::string& file, const std::string& text) {
  for (int i = 0; i < 60000 && slurp(file).find(text) == std::string::npos; ++i) ::usleep(1000);
}

// The classifier of 24 pictures has 150 steps, of which some are done at the first signal.
TEST_F(Evaluate, CtrlCKeepsTheTrainingOfTheClassifier) {
  std::vector<std::string> command{
      "evaluate",  "-m", "m.safetensors",    "-d", "data",       "-o", "e",
      "--samples", "6",  "--guided-samples", "0",  "--no-probes"};
  ::setenv("RAE_PROGRESS_SECONDS", "0", 1);
  const pid_t child = start(command);
  wait_for(stderr_file(), "classifier  2/");
  EXPECT_EQ(::kill(child, SIGINT), 0);
  const auto stopped = finish(child);
  EXPECT_EQ(stopped.status, 1);
  EXPECT_TRUE(contains(stopped.err,
                       "rae: error: interrupted; the parts that are complete are in "
                       "'e'; the same command goes on with the classifier there"));
  EXPECT_TRUE(exists("e/classifier.training/checkpoint.safetensors"));
  const auto result = rae(command);
  ::unsetenv("RAE_PROGRESS_SECONDS");
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_FALSE(contains(result.err, "classifier  1/"));
  EXPECT_FALSE(exists("e/classifier.training"));
  EXPECT_FALSE(exists("e/unfinished"));
  EXPECT_TRUE(exists("e/evaluation.json"));
}

class EvaluateSets : public Evaluate {};

// Two sets have no files to keep; the signal arrives while features are computed.
TEST_F(EvaluateSets, CtrlCStops) {
  std::vector<std::string> command{"generate", "-m", "m.safetensors", "-n", "20000", "-s",
                                   "1",        "-o", "many.npz"};
  ASSERT_EQ(rae(command).status, 0);
  ::setenv("RAE_PROGRESS_SECONDS", "0", 1);
  const pid_t child = start({"evaluate", "many.npz", "many.npz", "--features", "m.safetensors"});
  wait_for(stderr_file(), "features of A  ");
  EXPECT_EQ(::kill(child, SIGINT), 0);
  const auto stopped = finish(child);
  ::unsetenv("RAE_PROGRESS_SECONDS");
  EXPECT_EQ(stopped.status, 1);
  EXPECT_TRUE(contains(stopped.err, "rae: error: interrupted"));
  EXPECT_EQ(stopped.out, "");
}

TEST_F(Evaluate, AnEarlierReportIsReplacedOnlyWhenAsked) {
  const auto run = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"evaluate", "--model", "m.safetensors", "--data", "data", "--out",
                               "e", "--samples", "0", "--guided-samples", "0", "--no-probes"});
    return rae(more);
  };
  ASSERT_EQ(run({}).status, 0);
  const std::string report = slurp(path("e/evaluation.json"));
  const auto again = run({});
  EXPECT_EQ(again.status, 1);
  EXPECT_TRUE(contains(again.err, "the folder 'e' is not empty"));
  EXPECT_EQ(slurp(path("e/evaluation.json")), report);

  write("e/samples.png", "of the earlier evaluation");
  write("e/classifier.safetensors", "kept");
  const auto replaced = run({"--overwrite"});
  EXPECT_EQ(replaced.status, 0) << replaced.err;
  EXPECT_FALSE(exists("e/samples.png"));
  EXPECT_EQ(slurp(path("e/classifier.safetensors")), "kept");

  write("e/mine.txt", "mine");
  EXPECT_TRUE(contains(run({"--overwrite"}).err, "also contains 'mine.txt'"));
  std::filesystem::remove(path("e/mine.txt"));
  EXPECT_FALSE(exists("e/unfinished"));
  write("e/unfinished", "");  // an evaluation that did not finish
  EXPECT_EQ(run({}).status, 0);
  EXPECT_FALSE(exists("e/unfinished"));
}

TEST_F(Evaluate, DrawsTheCurvesOfATraining) {
  std::filesystem::create_directories(path("run/history"));
  const std::vector<std::string> command{
      "evaluate", "--history",        "run", "-d", "data", "-o", "run/curves", "--samples",
      "6",        "--guided-samples", "0",   "-s", "1"};
  const auto none = rae(command);
  EXPECT_EQ(none.status, 1);
  EXPECT_TRUE(contains(none.err, "dit.keep_every"));
  EXPECT_FALSE(exists("run/curves"));
  for (const char* step : {"0000010", "0000020"})
    std::filesystem::copy(path("m.safetensors"),
                          path(std::string("run/history/step-") + step + ".safetensors"));
  const auto result = rae(command);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "step,class_consistency,"));
  EXPECT_TRUE(contains(result.out, "\n20,"));
  EXPECT_TRUE(contains(result.err, "step 20: samples  6/6"));
  for (const char* name : {"history.svg", "history.csv", "history.json", "classifier.safetensors"})
    EXPECT_TRUE(exists(std::string("run/curves/") + name)) << name;
  // The same command evaluates nothing again, unless --overwrite is given.
  const std::string before = slurp(path("run/curves/history.json"));
  const auto again = rae(command);
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_FALSE(contains(again.err, "samples  6/6"));
  auto overwriting = command;
  overwriting.emplace_back("--overwrite");
  EXPECT_TRUE(contains(rae(overwriting).err, "step 10: samples  6/6"));
  EXPECT_EQ(slurp(path("run/curves/history.json")), before);
  // It does not write beside other files, and goes with neither --model nor --types.
  auto other = command;
  other[6] = "data2";
  write("data2/mine.txt", "x");
  EXPECT_EQ(rae(other).status, 1);
  for (const char* option : {"--model", "--types"}) {
    auto both = command;
    both.insert(both.end(), {option, "m.safetensors"});
    EXPECT_EQ(rae(both).status, 2) << option;
  }
}

TEST_F(Evaluate, CreatesNoFileAfterAnError) {
  const auto before = files();
  for (const std::vector<std::string>& wrong :
       {std::vector<std::string>{"--data", "no"}, {"--data", "data", "--model", "no"}}) {
    std::vector<std::string> arguments{"evaluate", "--out", "e"};
    if (wrong.back() != "no" || wrong.size() == 2)
      arguments.insert(arguments.end(), {"--model", "m.safetensors"});
    arguments.insert(arguments.end(), wrong.begin(), wrong.end());
    const auto result = rae(arguments);
    EXPECT_EQ(result.status, 1) << result.err;
    EXPECT_EQ(result.err.rfind("rae: error: ", 0), 0u) << result.err;
    EXPECT_EQ(files(), before) << result.err;
  }
}

}  // namespace
}  // namespace rae::test
