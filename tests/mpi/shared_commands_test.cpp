// Commands that several ranks share, besides training: their files have the bytes of one rank's.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "mpi/run_ranks.hpp"
#include "rae/core/random.hpp"
#include "rae/io/image.hpp"
#include "rae/kernels/isa.hpp"
#include "support/tiny_bundle.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;

class SharedCommands : public RanksTest {
 protected:
  void SetUp() override { tiny_bundle().save(path("m.safetensors")); }

  static std::vector<std::string> joined(std::vector<std::string> a,
                                         const std::vector<std::string>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }

  /// A picture whose pixels follow from a number.
  static Image noisy_image(std::uint64_t seed) {
    Image image(8, 8, 1);
    const Philox random(seed, 0);
    for (std::size_t p = 0; p < image.pixels().size(); ++p)
      image.pixels()[p] = static_cast<std::uint8_t>(255 * random.uniform(p));
    return image;
  }

  void write_pictures(const std::string& folder, int count) const {
    fs::create_directories(path(folder));
    for (int i = 0; i < count; ++i)
      noisy_image(static_cast<std::uint64_t>(i))
          .save_png(path(folder + "/" + std::to_string(100 + i) + ".png"));
  }

  /// The contents of all files in a folder, by their names.
  [[nodiscard]] std::map<std::string, std::string> contents(const std::string& folder) const {
    std::map<std::string, std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator(path(folder)))
      if (entry.is_regular_file())
        out[fs::relative(entry.path(), path(folder)).string()] = slurp(entry.path());
    return out;
  }

  /// The process that has the file open; 0 if there is none.
  [[nodiscard]] pid_t writer_of(const std::string& name) const {
    std::error_code none;
    for (const auto& process : fs::directory_iterator("/proc"))
      for (fs::directory_iterator file(process.path() / "fd", none), end; !none && file != end;
           file.increment(none))  // a process may end meanwhile
        if (fs::read_symlink(file->path(), none) == fs::path(path(name)))
          return static_cast<pid_t>(std::stol(process.path().filename().string()));
    return 0;
  }

  /// Runs a command with one, two and four ranks, each in a folder of its own, which "OUT" in the
  /// arguments stands for. The files must have the same bytes, and the results be printed once.
  void expect_same_files(const std::vector<std::string>& arguments) const {
    std::map<std::string, std::string> wanted;
    for (const int ranks : {1, 2, 4}) {
      const std::string folder = "ranks" + std::to_string(ranks);
      fs::remove_all(path(folder));
      fs::create_directories(path(folder));
      std::vector<std::string> given = arguments;
      for (std::string& word : given)
        if (const auto at = word.find("OUT"); at != std::string::npos) word.replace(at, 3, folder);
      const ToolResult result = ranks == 1 ? rae(given) : rae_ranks(ranks, given);
      ASSERT_EQ(result.status, 0) << ranks << " ranks: " << result.err;
      EXPECT_EQ(result.out.find(folder), result.out.rfind(folder)) << result.out;
      if (ranks == 1) wanted = contents(folder);
      const auto got = contents(folder);
      ASSERT_FALSE(got.empty());
      EXPECT_TRUE(got == wanted) << ranks << " ranks: " << arguments[0] << " "
                                 << arguments[arguments.size() - 1];
    }
  }
};

TEST_F(SharedCommands, SamplesOfEveryKind) {
  const std::vector<std::string> base{
      "generate", "-m", "m.safetensors", "--seed", "3", "--steps", "3", "-t", "1"};
  for (const std::vector<std::string>& more : std::vector<std::vector<std::string>>{
           {"--count", "21", "--label-sampling", "equal", "--out", "OUT/a.npz"},
           {"--count", "21", "--batch", "3", "--shard", "2/3", "--out", "OUT/a.npz"},
           {"--count", "6", "--rng", "torch-cpu", "--batch", "1", "--out", "OUT/a.npz"},
           {"--count", "3", "--sampler", "adaptive_heun", "--out", "OUT/a.npz"},
           {"--count", "3", "--sampler", "adaptive_heun", "--out", "OUT/a.png"},
           {"--count", "5", "--rng", "torch-cpu", "--sampler", "sde_euler", "--out", "OUT/a.png"},
           {"--count", "7", "--rng", "torch-cpu", "--grid", "--out", "OUT/pictures"},
           {"--count", "7", "--out", "OUT/a.png", "--latent-out", "OUT/z.safetensors",
            "--images-out", "OUT/x.safetensors"}})
    expect_same_files(joined(base, more));
}

TEST_F(SharedCommands, SamplesContinueWithAnotherNumberOfRanks) {
  const auto with = [](const std::string& count, const std::string& steps, const std::string& out) {
    return std::vector<std::string>{
        "generate", "-m", "m.safetensors", "--steps", steps,   "--count", count, "--batch", "2",
        "-t",       "1",  "--seed",        "5",       "--out", out};
  };
  const auto saved = [&] {
    const std::string text = slurp(path("a.npz.partial.json"));
    const auto at = text.find("\"done\": ");
    return at == std::string::npos ? -1 : std::stoi(text.substr(at + 8));
  };
  const std::string count = "3000", steps = "60";
  for (const int signal : {SIGINT, SIGTERM}) {
    const int before = exists("a.npz.partial.json") ? saved() : 0;
    const pid_t child = start_ranks(signal == SIGINT ? 4 : 2, with(count, steps, "a.npz"));
    pid_t rank_0 = 0;
    for (int i = 0; i < 3000 && rank_0 == 0; ++i, rank_0 = writer_of("a.npz.partial"))
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_NE(rank_0, 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    EXPECT_EQ(::kill(rank_0, signal), 0);
    const ToolResult ended = finish(child);
    EXPECT_NE(ended.status, 0);
    EXPECT_FALSE(exists("a.npz"));
    EXPECT_GE(saved(), before);
    const std::string message = "rae: error: interrupted; " + std::to_string(saved()) +
                                " of 3000 pictures are saved; the same command continues";
    EXPECT_TRUE(contains(ended.err, message));
    EXPECT_EQ(ended.err.find("interrupted"), ended.err.rfind("interrupted")) << ended.err;
  }
  const ToolResult continued = rae_ranks(3, with(count, steps, "a.npz"));
  ASSERT_EQ(continued.status, 0) << continued.err;
  EXPECT_TRUE(contains(continued.out, "of them from an earlier run"));
  ASSERT_EQ(rae(with(count, steps, "b.npz")).status, 0);
  EXPECT_TRUE(slurp(path("a.npz")) == slurp(path("b.npz")));
}

TEST_F(SharedCommands, LatentsAndReconstructions) {
  write_pictures("pictures", 23);
  const std::vector<std::string> base{"-m", "m.safetensors", "-t", "1"};
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"encode", "pictures", "OUT/z.safetensors", "--batch", "2", "--per-file", "5"},
           {"encode", "pictures", "OUT/z.safetensors", "--batch", "3"},
           {"encode", "pictures/100.png", "OUT/z.safetensors"},
           {"reconstruct", "pictures", "OUT/a.npz", "--batch", "4", "--originals-out", "OUT/o.npz"},
           {"reconstruct", "pictures/100.png", "OUT/a.png"}})
    expect_same_files(joined(command, base));
  // Complete files are kept, whatever the number of ranks that wrote them.
  const auto encode = [&](int ranks) {
    return rae_ranks(
        ranks,
        joined({"encode", "pictures", "z.safetensors", "--batch", "2", "--per-file", "5"}, base));
  };
  ASSERT_EQ(encode(4).status, 0);
  const std::string whole = slurp(path("z-00003-of-00005.safetensors"));
  fs::remove(path("z-00003-of-00005.safetensors"));
  EXPECT_TRUE(contains(encode(2).out, "18 of them from an earlier run"));
  EXPECT_TRUE(slurp(path("z-00003-of-00005.safetensors")) == whole);
}

TEST_F(SharedCommands, StatisticsAndComparisons) {
  write_pictures("a/circle", 13);
  write_pictures("a/square", 4);
  write_pictures("b", 9);
  const std::vector<std::string> base{"-m", "m.safetensors", "-t", "1"};
  expect_same_files(
      joined({"stats", "--data", "a", "--out", "OUT/s.safetensors", "--batch", "2"}, base));
  ASSERT_EQ(rae(joined({"stats", "--data", "a", "--out", "s.safetensors"}, base)).status, 0);
  expect_same_files(joined({"stats", "--data", "a", "--merge", "s.safetensors", "--out",
                            "OUT/s.safetensors", "--batch", "3"},
                           base));
  expect_same_files({"evaluate", "b", "a/circle", "--features", "m.safetensors", "--out",
                     "OUT/n.json", "-t", "1"});
  expect_same_files(
      {"evaluate", "b", "b", "--paired", "--metrics", "psnr,ssim", "--out", "OUT/n.json"});
}

TEST_F(SharedCommands, Evaluation) {
  for (const std::string part : {"train", "test"})
    for (const std::string name : {"circle", "square", "star"})
      write_pictures("data/" + part + "/" + name, 5);
  expect_same_files({"evaluate", "-m", "m.safetensors", "--data", "data", "--out", "OUT/e",
                     "--samples", "1010", "--guided-samples", "30", "--steps", "2", "-t", "1"});
}

TEST_F(SharedCommands, AnErrorOfOneRankEndsAllWithOneMessage) {
  write_pictures("pictures", 23);
  std::ofstream(path("pictures/105.png"), std::ios::trunc) << "broken";
  const ToolResult broken =
      rae_ranks(4, {"encode", "-m", "m.safetensors", "pictures", "z.safetensors", "--batch", "2"});
  EXPECT_EQ(broken.status, 1);
  EXPECT_TRUE(contains(broken.err, "pictures/105.png"));
  EXPECT_EQ(broken.err.find("rae: error:"), broken.err.rfind("rae: error:")) << broken.err;
  const std::pair<std::vector<std::string>, std::string> wrong[] = {
      {{"generate", "-m", "m.safetensors", "-o", "no/a.npz"}, "the folder 'no' does not exist"},
      {{"generate", "-m", "no.safetensors", "-o", "a.npz"}, "no.safetensors"},
      {{"generate", "-m", "m.safetensors", "-o", "a.txt"}, "--out: expected a name that ends in"},
      {{"generate", "-m", "m.safetensors", "-o", "a.npz", "--class", "no"}, "no class 'no'"},
      {{"stats", "-m", "m.safetensors", "-d", "no", "-o", "a.safetensors"}, "'no'"},
      {{"encode", "-m", "m.safetensors", "-", "a.safetensors"}, "cannot be stdin or a pipe"},
      {{"decode", "-m", "m.safetensors", "z.safetensors", "a.png"}, "does not share its work"},
  };
  for (const auto& [arguments, message] : wrong) {
    const ToolResult result = rae_ranks(3, arguments);
    EXPECT_NE(result.status, 0);
    EXPECT_TRUE(contains(result.err, message));
    EXPECT_EQ(result.err.find("rae: "), result.err.rfind("rae: ")) << result.err;
  }
}

TEST_F(SharedCommands, RanksThatWouldComputeSomethingElseAreRefused) {
  write_pictures("pictures", 5);
  fs::create_directories(path("other"));
  tiny_bundle(2).save(path("other/m.safetensors"));
  write_pictures("other/pictures", 5);
  noisy_image(9).save_png(path("other/pictures/0.png"));
  const auto with_rank_1 = [&](const std::string& change, const std::string& command) {
    write("rank.sh",
          "[ \"$OMPI_COMM_WORLD_RANK\" = 1 ] && " + change + "\nexec \"$0\" " + command + "\n");
    const ToolResult result =
        finish(start({"-q", "-n", "2", "sh", "-c", ". ./rank.sh", RAE_TOOL}, {}, RAE_MPIEXEC));
    EXPECT_EQ(result.status, 1) << result.err;
    EXPECT_EQ(result.err.find("rae: "), result.err.rfind("rae: ")) << result.err;
    return result.err;
  };
  const std::string out = "out.safetensors";
  const std::string model = "rank 1: m.safetensors: this rank finds other contents than rank 0";
  EXPECT_TRUE(contains(with_rank_1("cd other", "generate -m m.safetensors -o a.npz"), model));
  EXPECT_TRUE(contains(with_rank_1("cd other", "encode -m m.safetensors pictures " + out), model));
  fs::copy_file(path("m.safetensors"), path("other/m.safetensors"),
                fs::copy_options::overwrite_existing);
  EXPECT_TRUE(contains(with_rank_1("cd other", "encode -m m.safetensors pictures " + out),
                       "rank 1: pictures: this rank finds other contents than rank 0, 6 pictures"));
  EXPECT_FALSE(exists("a.npz") || exists(out));
  if (active_isa() == Isa::baseline) return;  // this processor has only these kernels
  EXPECT_TRUE(contains(with_rank_1("export RAE_ISA=baseline", "generate -m m.safetensors -o a.npz"),
                       "rank 1: this rank computes with the kernels baseline"));
}

}  // namespace
}  // namespace rae::test
