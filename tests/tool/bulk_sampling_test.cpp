// `rae generate` to .npz archives: interruption and continuation, parts, choice of classes.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <thread>

#include "rae/generate/generator.hpp"
#include "rae/generate/label_sampling.hpp"
#include "rae/io/npz.hpp"
#include "support/tiny_bundle.hpp"
#include "tool/run_tool.hpp"
#include "tool/small_disk.hpp"

namespace rae::test {
namespace {

class BulkSampling : public ToolTest {
 protected:
  void SetUp() override { tiny_bundle().save(path("m.safetensors")); }

  [[nodiscard]] static std::vector<std::string> command(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"generate", "--model", "m.safetensors", "--seed", "3"});
    return arguments;
  }
  ToolResult generate(std::vector<std::string> arguments) const {
    auto result = rae(command(std::move(arguments)));
    EXPECT_EQ(result.status, 0) << result.err;
    return result;
  }
};

TEST_F(BulkSampling, GeneratesThePicturesOfTheLibrary) {
  EXPECT_TRUE(
      contains(generate({"--count", "6", "--label-sampling", "equal", "--out", "a.npz"}).out,
               "a.npz: 6 pictures, 8 x 8"));
  const std::vector<std::int64_t> classes{0, 1, 2};
  const auto labels = sample_labels(LabelSampling::equal, 6, classes, 3);
  const auto images = Generator::load(path("m.safetensors")).sample({.labels = labels, .seed = 3});
  const auto file = NpzFile::open(path("a.npz"));
  const auto pixels = file.read<std::uint8_t>("arr_0");   // (N, H, W, channels)
  const auto written = file.read<std::int64_t>("arr_1");  // (N)
  ASSERT_EQ(pixels.shape(), (Shape{6, 8, 8, 1}));
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_TRUE(
        std::equal(images[i].pixels().begin(), images[i].pixels().end(), pixels.data() + i * 64))
        << i;
    EXPECT_EQ(written[static_cast<index_t>(i)], labels[i]);
  }
  EXPECT_TRUE(contains(*file.text("settings.json"), "\"label sampling\": \"equal\""));
  EXPECT_EQ(files(), (std::vector<std::string>{"a.npz", "m.safetensors"}));
}

TEST_F(BulkSampling, ContinuesAfterAFullDiskAndAKill) {
  const auto with = [&](const std::string& out, const std::string& steps = "3") {
    return command({"--count", "40", "--steps", steps, "--label-sampling", "random", "--batch", "4",
                    "--out", out});
  };
  EXPECT_EQ(rae(with("whole.npz")).status, 0);
  // After 167 bytes of header there is space for 28 pictures of 64 bytes, and in the second run for
  // 32.
  pid_t child = 0;
  {
    const SmallDisk disk(167 + 28 * 64 + 1, false);
    child = start(with("a.npz"));
  }
  const auto full = finish(child);
  EXPECT_EQ(full.status, 1);
  EXPECT_TRUE(contains(full.err, "cannot write 'a.npz.partial'"));
  EXPECT_FALSE(exists("a.npz"));
  EXPECT_TRUE(contains(slurp(path("a.npz.partial.json")), "\"done\": 28"));
  {
    const SmallDisk disk(167 + 32 * 64 + 1, true);
    child = start(with("a.npz"));
  }
  EXPECT_EQ(finish(child).status, 1000 + SIGXFSZ);
  EXPECT_EQ(std::filesystem::file_size(path("a.npz.partial")), 167u + 32 * 64 + 1);

  const auto wrong = rae(with("a.npz", "4"));
  EXPECT_EQ(wrong.status, 1);
  EXPECT_TRUE(contains(wrong.err, "started with steps '3', now it is '4'"));
  tiny_bundle(2).save(path("m.safetensors"));
  EXPECT_TRUE(contains(rae(with("a.npz")).err, "started with weights "));
  tiny_bundle().save(path("m.safetensors"));

  EXPECT_TRUE(contains(rae(with("a.npz")).out, "28 of them from an earlier run"));
  EXPECT_EQ(slurp(path("a.npz")), slurp(path("whole.npz")));
  EXPECT_EQ(files(), (std::vector<std::string>{"a.npz", "m.safetensors", "whole.npz"}));
}

TEST_F(BulkSampling, KeepsPicturesWhenInterrupted) {
  const pid_t child = start(command({"--steps", "100000", "--count", "1000", "--out", "a.npz"}));
  while (!exists("a.npz.partial.json")) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(::kill(child, SIGINT), 0);
  const auto result = finish(child);
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(
      contains(result.err, "0 of 1000 pictures are saved; the same command continues after them"));
  EXPECT_EQ(files(),
            (std::vector<std::string>{"a.npz.partial", "a.npz.partial.json", "m.safetensors"}));
}

TEST_F(BulkSampling, JoinedPartsEqualTheFileOfOneRun) {
  const std::vector<std::string> set{"--count", "12", "--label-sampling", "equal", "--steps", "2"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), set.begin(), set.end());
    return more;
  };
  generate(with({"--out", "whole.npz"}));
  for (const std::string i : {"1", "2", "3", "4", "5"})
    generate(with({"--shard", i + "/5", "--out", i + ".npz", "--batch", i}));
  EXPECT_EQ(NpzFile::open(path("1.npz")).read<std::uint8_t>("arr_0").extent(0), 3);
  EXPECT_EQ(NpzFile::open(path("5.npz")).read<std::uint8_t>("arr_0").extent(0), 2);
  EXPECT_TRUE(contains(
      generate({"--join", "3.npz", "1.npz", "5.npz", "2.npz", "4.npz", "--out", "joined.npz"}).out,
      "12 pictures, 8 x 8, of 5 parts"));
  EXPECT_EQ(slurp(path("joined.npz")), slurp(path("whole.npz")));

  generate({"--count", "12", "--steps", "3", "--shard", "2/5", "--out", "other.npz"});
  const std::pair<std::vector<std::string>, std::string> wrong[] = {
      {{"1.npz", "2.npz", "4.npz", "5.npz"}, "part 3/5 is missing"},
      {{"1.npz", "2.npz"}, "part 3/5 is missing"},
      {{"1.npz", "1.npz"}, "are both part 1/5"},
      {{"1.npz", "other.npz"}, "parts of different sets"},
      {{"whole.npz"}, "a whole set of samples"},
      {{"no.npz"}, "no.npz"},
  };
  for (const auto& [parts, message] : wrong) {
    std::vector<std::string> arguments{"generate", "--out", "x.npz", "--join"};
    arguments.insert(arguments.end(), parts.begin(), parts.end());
    const auto result = rae(arguments);
    EXPECT_EQ(result.status, 1) << result.err;
    EXPECT_TRUE(contains(result.err, message));
    EXPECT_FALSE(exists("x.npz"));
  }
}

// The noise is that of one call of PyTorch's generator, however the set is split; adaptive solvers
// choose their steps for each picture alone.
TEST_F(BulkSampling, PartsWithNumbersOfPyTorchAndAdaptiveSolvers) {
  const std::vector<std::string> set{"--count", "6",         "--label-sampling", "random",
                                     "--rng",   "torch-cpu", "--sampler",        "adaptive_heun",
                                     "--cfg",   "1"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), set.begin(), set.end());
    return more;
  };
  generate(with({"--out", "whole.npz"}));
  const auto generator = Generator::load(path("m.safetensors"));
  TorchCpuGenerator random(3);
  const std::vector<std::int64_t> classes{0, 1, 2};
  const auto labels = sample_labels(LabelSampling::random, 6, classes, random);
  const auto noise = generator.noise(3, 6, 0, Rng::torch_cpu);  // (6, C, h, w)
  const auto pixels =
      NpzFile::open(path("whole.npz")).read<std::uint8_t>("arr_0");  // (N, H, W, channels)
  const index_t size = noise.numel() / 6;
  for (index_t i = 0; i < 6; ++i) {
    const Tensor<float> one(  // (1, C, h, w)
        noise.shape().with(0, 1),
        noise.span().subspan(static_cast<std::size_t>(i * size), static_cast<std::size_t>(size)));
    const auto images = generator.sample({.labels = {labels[static_cast<std::size_t>(i)]},
                                          .solver = AdaptiveSolver::adaptive_heun,
                                          .guidance = Cfg{},
                                          .noise = one});
    EXPECT_TRUE(
        std::equal(images[0].pixels().begin(), images[0].pixels().end(), pixels.data() + i * 64))
        << i;
  }
  for (const std::string i : {"1", "2"}) generate(with({"--shard", i + "/2", "--out", i + ".npz"}));
  generate({"--join", "1.npz", "2.npz", "--out", "joined.npz"});
  EXPECT_EQ(slurp(path("joined.npz")), slurp(path("whole.npz")));
}

TEST_F(BulkSampling, RejectsContradictoryOptions) {
  const auto before = files();
  const std::pair<std::vector<std::string>, std::string> wrong[] = {
      {{"--shard", "0/4", "--out", "a.npz"}, "expected I/N with I from 1 to N"},
      {{"--shard", "5/4", "--out", "a.npz"}, "expected I/N with I from 1 to N"},
      {{"--shard", "two", "--out", "a.npz"}, "expected I/N with I from 1 to N"},
      {{"--shard", "1/2", "--out", "a.png"}, "must name an .npz file"},
      {{"--label-sampling", "even"}, "expected equal, random or in-turn"},
      {{"--join", "a.npz", "--out", "a.png"}, "must name the .npz file"},
      {{"--join", "a.npz", "--out", "a.npz"}, "is read by --join"},
  };
  for (const auto& [arguments, message] : wrong) {
    const auto result = rae(command(arguments));
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_TRUE(contains(result.err, message));
  }
  const auto unequal =
      rae(command({"--count", "10", "--label-sampling", "equal", "--out", "a.npz"}));
  EXPECT_EQ(unequal.status, 1);
  EXPECT_TRUE(
      contains(unequal.err, "10 pictures cannot be divided equally among 3 classes; use 9 or 12"));
  const auto stochastic =
      rae(command({"--rng", "torch-cpu", "--sampler", "sde_euler", "--out", "a.npz"}));
  EXPECT_EQ(stochastic.status, 1);
  EXPECT_TRUE(contains(stochastic.err, "are drawn for all pictures together"));
  const auto empty = rae(command({"--count", "2", "--shard", "3/3", "--out", "a.npz"}));
  EXPECT_EQ(empty.status, 1);
  EXPECT_TRUE(contains(empty.err, "2 pictures cannot be split into 3 parts"));
  EXPECT_EQ(files(), before);
}

}  // namespace
}  // namespace rae::test
