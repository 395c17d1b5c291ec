// Progress where stderr is no terminal: the lines of the bar by an injected clock, and the lines of
// every command that can take long.
#include "tool/progress.hpp"

#include <cstdlib>

#include "support/picture_folder.hpp"
#include "support/tiny_bundle.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

using tool::ProgressBar;
using tool::ProgressSink;

/// A bar that writes to a string and sees the time of the test.
struct Watched {
  double seconds = 0;
  std::string text;

  [[nodiscard]] ProgressSink sink(bool terminal = false) {
    return {[this] {
              return ProgressSink::Clock::time_point(
                  std::chrono::duration_cast<ProgressSink::Clock::duration>(
                      std::chrono::duration<double>(1000 + seconds)));
            },
            [this](std::string_view more) { text += more; }, terminal};
  }
};

TEST(ProgressBar, WritesALineEveryThirtySeconds) {
  Watched watched;
  ProgressBar bar("sampling", watched.sink());
  for (int second = 1; second <= 100; ++second) {
    watched.seconds = second;
    bar.update(second, 200, std::to_string(second) + "/200");
  }
  EXPECT_EQ(watched.text,
            "sampling  30/200  ETA 2:50\n"
            "sampling  60/200  ETA 2:20\n"
            "sampling  90/200  ETA 1:50\n");
  watched.text.clear();
  bar.begin("decoding");  // the clock of the lines goes on
  watched.seconds = 119;
  bar.update(1, 4);
  EXPECT_EQ(watched.text, "");
  watched.seconds = 120;
  bar.update(2, 4);
  EXPECT_EQ(watched.text, "decoding  50%  ETA 0:02\n");
}

TEST(ProgressBar, WorkOfAnEarlierRunDoesNotCountForTheEta) {
  Watched watched;
  ProgressBar bar("", watched.sink());
  bar.begin("classifier", true);
  bar.update(100, 200, "100/200");
  for (int second = 1; second <= 30; ++second) {
    watched.seconds = second;
    bar.update(100 + second, 200, concat(100 + second, "/200"));
  }
  EXPECT_EQ(watched.text, "classifier  100/200\nclassifier  130/200  ETA 1:10\n");
}

TEST(ProgressBar, ShortCommandsWriteNothing) {
  Watched watched;
  ProgressBar bar("sampling", watched.sink());
  watched.seconds = 29.9;
  bar.update(1, 1, "1/1");
  bar.tick();
  bar.clear();
  EXPECT_EQ(watched.text, "");
}

TEST(ProgressBar, AnnouncedPhasesHaveAFirstAndALastLine) {
  Watched watched;
  ProgressBar bar("", watched.sink());
  bar.begin("dit", true);
  for (int step = 1; step <= 3; ++step) bar.update(step, 3, concat(step, "/3"), 3 - step);
  bar.begin("statistics", true);
  bar.update(5, 5, "5/5");
  EXPECT_EQ(watched.text, "dit  1/3  ETA 0:02\ndit  3/3\nstatistics  5/5\n");
}

TEST(ProgressBar, PhasesWithoutNumbersSayHowLongTheyTake) {
  Watched watched;
  ProgressBar bar("", watched.sink());
  bar.begin("Frechet distance");
  for (int second = 0; second < 70; ++second) {
    watched.seconds = second;
    bar.tick();
  }
  EXPECT_EQ(watched.text, "Frechet distance  0:30\nFrechet distance  1:00\n");
}

TEST(ProgressBar, ATerminalHasABar) {
  Watched watched;
  ProgressBar bar("sampling", watched.sink(true));
  bar.update(1, 2, "1/2");
  bar.tick();
  EXPECT_TRUE(contains(watched.text, "\rsampling ["));
  EXPECT_FALSE(contains(watched.text, "\n"));
  bar.clear();
  EXPECT_TRUE(watched.text.ends_with("\r\x1b[K"));
}

/// Commands whose lines come without any time between them.
class ProgressLines : public ToolTest {
 protected:
  void SetUp() override {
    tiny_bundle().save(path("m.safetensors"));
    for (const std::string part : {"train", "test"}) write_pictures(part);
    ::setenv("RAE_PROGRESS_SECONDS", "0", 1);
  }
  void TearDown() override { ::unsetenv("RAE_PROGRESS_SECONDS"); }

  /// Eight gray pictures in each of three classes.
  void write_pictures(const std::string& part) const {
    for (const std::string name : {"a", "b", "c"}) {
      const std::string folder = "data/" + part + "/" + name;
      std::filesystem::create_directories(path(folder));
      for (int i = 0; i < 8; ++i)
        write_picture(path(folder + "/" + std::to_string(i) + ".png"), 10 * i + name[0]);
    }
  }

  void expect_lines(std::vector<std::string> arguments, const std::vector<std::string>& parts) {
    const auto result = rae(std::move(arguments));
    EXPECT_EQ(result.status, 0) << result.err;
    for (const std::string& part : parts) EXPECT_TRUE(contains("\n" + result.err, "\n" + part));
  }
};

TEST_F(ProgressLines, AreWrittenByEveryLongCommand) {
  expect_lines({"generate", "--model", "m.safetensors", "-n", "40", "--out", "s.npz"},
               {"sampling  40/40  "});
  expect_lines({"generate", "--model", "m.safetensors", "-n", "4", "--out", "s.png", "--latent-out",
                "l.safetensors"},
               {"sampling  4/4  ", "decoding  4/4"});
  expect_lines({"decode", "--model", "m.safetensors", "l.safetensors", "d.png"}, {"decoding  4/4"});
  expect_lines({"encode", "--model", "m.safetensors", "data/train", "e.safetensors"},
               {"encoding  16/24  ", "encoding  24/24  "});
  expect_lines({"reconstruct", "--model", "m.safetensors", "data/test", "r.npz"},
               {"reconstructing  24/24  "});
  expect_lines({"stats", "--model", "m.safetensors", "--data", "data", "--out", "t.safetensors",
                "--batch", "10"},
               {"encoding  10/24  ", "encoding  24/24  "});
  expect_lines({"evaluate", "--model", "m.safetensors", "--data", "data", "--out", "e", "--samples",
                "6", "--guided-samples", "6"},
               {"classifier  ", "samples  ", "guided samples  ", "neighbours  ",
                "reconstruction  24/24", "probes  "});
  expect_lines({"evaluate", "r.npz", "data/test", "--paired", "--features", "m.safetensors"},
               {"pairs  24/24", "features of A  24/24", "features of B  24/24"});
}

TEST_F(ProgressLines, OfTheLookAtAllPictures) {
  write("r.yaml", kTinyRecipe);
  const auto result = rae({"train", "--recipe", "r.yaml", "--data", "data", "--out", "run",
                           "--check-data", "--dry-run", "--set", "model.dit.num_classes=3"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.err, "checking pictures  24/24"));
}

}  // namespace
}  // namespace rae::test
