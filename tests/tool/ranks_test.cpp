// The program where a launcher has started several processes that do not find each other.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

class Ranks : public ToolTest {
 protected:
  ~Ranks() override { ::unsetenv("OMPI_COMM_WORLD_SIZE"); }
};

// Each process would train alone in the same folder. A program with MPI finds only itself here; one
// without MPI cannot find others.
TEST_F(Ranks, SeveralProcessesThatDoNotFindEachOtherAreRefused) {
  ::setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
  const ToolResult result = rae({"train", "--data", "data", "--out", "run"});
  EXPECT_EQ(result.status, 2);
  EXPECT_TRUE(contains(result.err, "launcher"));
  EXPECT_TRUE(contains(result.err, "MPI"));
  EXPECT_FALSE(exists("run"));
}

TEST_F(Ranks, OneProcessOfALauncherIsAsWithout) {
  ::setenv("OMPI_COMM_WORLD_SIZE", "1", 1);
  EXPECT_EQ(rae({"--version"}).status, 0);
}

}  // namespace
}  // namespace rae::test
