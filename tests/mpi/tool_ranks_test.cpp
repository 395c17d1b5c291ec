// The `rae` command under mpirun: the results of several ranks, ranks that fail, end or hang, and
// commands and inputs that are refused.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <thread>

#include "mpi/run_ranks.hpp"
#include "rae/kernels/isa.hpp"
#include "rae/train/checkpoint.hpp"
#include "rae/train/run_report.hpp"
#include "support/idx_files.hpp"
#include "support/tiny_recipe.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class ToolRanks : public RanksTest {
 protected:
  ToolRanks() {
    write("r.yaml", kTinyRecipe);
    write("data/train-images-idx3-ubyte", idx_images(20, 8, 8));
    write("data/train-labels-idx1-ubyte",
          idx_labels({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  }

  /// The arguments of a training, with more at the end.
  [[nodiscard]] static std::vector<std::string> training(const std::string& out,
                                                         std::vector<std::string> more = {}) {
    std::vector<std::string> all{"train", "-r",        "r.yaml", "-d", "data", "-o",
                                 out,     "--samples", "0",      "-t", "1"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  /// Starts a training of three ranks that does not end by itself, and waits for a checkpoint of
  /// its last stage.
  [[nodiscard]] pid_t start_endless() const {
    const pid_t child =
        start_ranks(3, training("run", {"--set", "dit.train.steps=10000000", "--set",
                                        "dit.train.checkpoint_every=20", "--set",
                                        "dit.train.log_every=20", "--rank-timeout", "2"}));
    const auto begin = Clock::now();
    while (!exists("run/dit/checkpoint.safetensors") && seconds_since(begin) < 60)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    if (!exists("run/dit/checkpoint.safetensors")) ADD_FAILURE() << finish(child).err;
    return child;
  }

  /// The process of a rank that works in the folder of this test; 0 if there is none.
  [[nodiscard]] pid_t process_of(int rank) const {
    const std::string variable = "OMPI_COMM_WORLD_RANK=" + std::to_string(rank);
    for (const auto& entry : fs::directory_iterator("/proc")) {
      const std::string pid = entry.path().filename().string();
      std::error_code none;
      if (pid.find_first_not_of("0123456789") != std::string::npos ||
          fs::read_symlink(entry.path() / "cwd", none) != fs::path(path("data")).parent_path() ||
          fs::read_symlink(entry.path() / "exe", none).filename() != "rae")
        continue;
      std::ifstream file(entry.path() / "environ", std::ios::binary);
      for (std::string each; std::getline(file, each, '\0');)
        if (each == variable) return static_cast<pid_t>(std::stol(pid));
    }
    return 0;
  }

  /// Waits for the ranks of `start_endless`, which must end soon with a whole checkpoint.
  void expect_end(pid_t child, const std::string& message) const {
    const auto begin = Clock::now();
    const ToolResult ended = finish(child);
    EXPECT_LT(seconds_since(begin), 30);
    EXPECT_NE(ended.status, 0);
    if (!message.empty()) {
      EXPECT_TRUE(contains(ended.err, message));
    }
    for (int rank = 0; rank < 3; ++rank) EXPECT_EQ(process_of(rank), 0) << rank;
    const index_t step = read_checkpoint_info(path("run/dit/checkpoint.safetensors")).step;
    EXPECT_EQ(step % 20, 0);
    EXPECT_GT(step, 0);
  }
};

TEST_F(ToolRanks, TrainTogetherAndContinueOnAnotherNumber) {
  const ToolResult four = rae_ranks(4, training("four", {"--shard-optimizer"}));
  ASSERT_EQ(four.status, 0) << four.err;
  EXPECT_TRUE(contains(four.out, "training with 4 ranks of 1 thread"));
  EXPECT_EQ(four.out.find("stage encoder"), four.out.rfind("stage encoder")) << four.out;
  const ToolResult again = rae_ranks(4, training("again"));
  ASSERT_EQ(again.status, 0) << again.err;
  for (const char* stage : {"encoder", "decoder", "dit"})
    EXPECT_EQ(slurp(path(std::string("four/") + stage + "/checkpoint.safetensors")),
              slurp(path(std::string("again/") + stage + "/checkpoint.safetensors")))
        << stage;
  EXPECT_EQ(slurp(path("four/model.safetensors")), slurp(path("again/model.safetensors")));

  const std::vector<std::string> longer{"--set", "dit.train.steps=9"};
  const ToolResult two = rae_ranks(2, training("four", longer));
  ASSERT_EQ(two.status, 0) << two.err;
  const ToolResult one = rae(training("again", longer));
  ASSERT_EQ(one.status, 0) << one.err;
  const auto losses = [&](const std::string& run) {
    std::vector<double> out;
    for (const ConfigNode& line : read_training_log(path(run + "/dit/log.jsonl")))
      if (line.contains("loss")) out.push_back(line.get<double>("loss"));
    return out;
  };
  const std::vector<double> of_two = losses("four"), of_one = losses("again");
  ASSERT_EQ(of_two.size(), 9u);
  ASSERT_EQ(of_one.size(), 9u);
  // The same checkpoint and pictures; sums of floats in another order.
  for (std::size_t i = 0; i < 9; ++i) EXPECT_NEAR(of_two[i] / of_one[i], 1, 1e-5) << i;
}

TEST_F(ToolRanks, ADeadRankEndsAllWithTheLastCheckpointWhole) {
  const pid_t child = start_endless();
  const pid_t rank = process_of(1);
  ASSERT_GT(rank, 0);
  ::kill(rank, SIGKILL);
  expect_end(child, "");
}

TEST_F(ToolRanks, ARankThatHangsIsNamed) {
  const pid_t child = start_endless();
  const pid_t rank = process_of(1);
  ASSERT_GT(rank, 0);
  ::kill(rank, SIGSTOP);
  expect_end(child, "rank 1 has not answered for 2 s");
}

TEST_F(ToolRanks, AnInterruptIsThatOfAllRanks) {
  const pid_t child = start_endless();
  for (int i = 0; i < 100 && process_of(2) == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  ::kill(process_of(2), SIGINT);
  const ToolResult ended = finish(child);
  EXPECT_EQ(ended.status, 1);
  EXPECT_TRUE(contains(ended.err, "interrupted; the same command continues"));
  EXPECT_EQ(ended.err.find("rae: error"), ended.err.rfind("rae: error")) << ended.err;
}

TEST_F(ToolRanks, RefuseTogetherAndOnce) {
  const auto refused = [&](int count, const std::vector<std::string>& arguments, int status,
                           const std::string& message) {
    const ToolResult result = rae_ranks(count, arguments);
    EXPECT_EQ(result.status, status);
    EXPECT_TRUE(contains(result.err, message));
    EXPECT_EQ(result.err.find("error"), result.err.rfind("error")) << result.err;
    EXPECT_FALSE(exists("run"));
  };
  refused(3, {"info", "builtin"}, 2, "'rae info' does not share its work between 3 processes");
  refused(2, {"trian"}, 2, "unknown command 'trian'; did you mean 'train'?");
  refused(2, training("run", {"--stage", "none"}), 2, "--stage");
  refused(2, {"train", "-d", "missing", "-o", "run"}, 1, "missing");
  refused(4, training("run", {"--set", "dit.train.batch_size=3"}), 1,
          "dit: 4 ranks cannot share a batch of 3 pictures; start at most 3");
  refused(2, training("run", {"--set", "dit.train.lr=-1"}), 1, "lr");
}

TEST_F(ToolRanks, ARankWithoutTheDataEndsAllBeforeAnythingIsWritten) {
  write("rank.sh",
        "[ \"$OMPI_COMM_WORLD_RANK\" = 1 ] && data=elsewhere || data=data\n"
        "exec \"$0\" train -r r.yaml -d $data -o run\n");
  std::vector<std::string> arguments{"-q", "-n", "2", "sh", "-c", ". ./rank.sh", RAE_TOOL};
  const ToolResult result = finish(start(std::move(arguments), {}, RAE_MPIEXEC));
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(contains(result.err, "rank 1: "));
  EXPECT_TRUE(contains(result.err, "elsewhere"));
  EXPECT_FALSE(exists("run"));
}

TEST_F(ToolRanks, RanksWithOtherKernelsAreRefused) {
  write("rank.sh",
        "[ \"$OMPI_COMM_WORLD_RANK\" = 1 ] && export RAE_ISA=baseline\n"
        "exec \"$0\" train -r r.yaml -d data -o run\n");
  const ToolResult result =
      finish(start({"-q", "-n", "2", "sh", "-c", ". ./rank.sh", RAE_TOOL}, {}, RAE_MPIEXEC));
  if (active_isa() == Isa::baseline) GTEST_SKIP() << "this processor has only these kernels";
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(contains(result.err, "rank 1: this rank computes with the kernels baseline"));
  EXPECT_FALSE(exists("run"));
}

}  // namespace
}  // namespace rae::test
