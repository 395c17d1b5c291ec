#include "core/process_limits.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

#include "rae/core/parallel.hpp"

namespace rae::detail {
namespace {

/// A temporary folder in place of "/", with the few files of "/proc" and "/sys" that the library
/// reads.
class FakeRoot {
 public:
  FakeRoot() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::path(testing::TempDir()) / (std::string("root_") + test->name());
    std::filesystem::remove_all(path_);
    file("proc/meminfo", "MemTotal: 64000 kB\nMemAvailable: 32000 kB\nBuffers: 5 kB\n");
  }
  ~FakeRoot() { std::filesystem::remove_all(path_); }
  FakeRoot(const FakeRoot&) = delete;
  FakeRoot& operator=(const FakeRoot&) = delete;

  void file(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
  }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

TEST(ProcessLimits, ThisProcessHasAProcessorAndMemory) {
  EXPECT_GE(usable_processors(), 1);
  EXPECT_LE(usable_processors(), std::max(1u, std::thread::hardware_concurrency()));
  EXPECT_GT(available_memory(), 0u);
}

TEST(ProcessLimits, NoFilesMeanNoLimits) {
  EXPECT_EQ(quota_processors(testing::TempDir() + "/none"), 0);
  EXPECT_EQ(available_memory(testing::TempDir() + "/none"), 0u);
  EXPECT_EQ(cache_memory(1'000'000, testing::TempDir() + "/none"), 1'000'000u);
}

TEST(ProcessLimits, QuotaOfVersion2IsTheSmallestOfAllAncestors) {
  const FakeRoot root;
  root.file("proc/self/cgroup", "0::/slice/service\n");
  root.file("sys/fs/cgroup/slice/service/cpu.max", "max 100000\n");
  EXPECT_EQ(quota_processors(root.path()), 0);
  root.file("sys/fs/cgroup/slice/cpu.max", "250000 100000\n");
  EXPECT_EQ(quota_processors(root.path()), 2);
  root.file("sys/fs/cgroup/slice/service/cpu.max", "800000 100000\n");
  EXPECT_EQ(quota_processors(root.path()), 2);
  root.file("sys/fs/cgroup/slice/service/cpu.max", "25000 50000\n");
  EXPECT_EQ(quota_processors(root.path()), 1);
}

TEST(ProcessLimits, QuotaOfVersion1IsTheSmallestOfAllAncestors) {
  const FakeRoot root;
  root.file("proc/self/cgroup", "4:memory:/box\n3:cpuacct,cpu:/box/job\n1:cpuset:/\n0::/\n");
  const std::string mount = "sys/fs/cgroup/cpu/";
  root.file(mount + "box/job/cpu.cfs_quota_us", "-1\n");
  root.file(mount + "box/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota_processors(root.path()), 0);
  root.file(mount + "box/cpu.cfs_quota_us", "300000\n");
  root.file(mount + "box/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota_processors(root.path()), 3);
}

TEST(ProcessLimits, LimitsOfContainersAreReadAtTheRootOfTheMount) {
  const FakeRoot root;
  root.file("proc/self/cgroup", "3:cpu,cpuacct:/docker/abc\n2:memory:/docker/abc\n");
  root.file("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "150000\n");
  root.file("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  root.file("sys/fs/cgroup/memory/memory.limit_in_bytes", "1000000\n");
  root.file("sys/fs/cgroup/memory/memory.usage_in_bytes", "200000\n");
  EXPECT_EQ(quota_processors(root.path()), 1);
  EXPECT_EQ(available_memory(root.path()), 800000u);
  EXPECT_EQ(cache_memory(1'000'000, root.path()), 200000u);
  EXPECT_EQ(cache_memory(1'000, root.path()), 1000u);
}

TEST(ProcessLimits, GroupsOutsideTheMountUseItsRoot) {
  const FakeRoot root;
  root.file("proc/self/cgroup", "0::/../other\n");
  root.file("sys/fs/cgroup/cpu.max", "400000 100000\n");
  EXPECT_EQ(quota_processors(root.path()), 4);
}

TEST(ProcessLimits, MemoryOfVersion2CountsInactiveFilesAsFree) {
  const FakeRoot root;
  root.file("proc/self/cgroup", "0::/a\n");
  root.file("sys/fs/cgroup/a/memory.max", "max\n");
  root.file("sys/fs/cgroup/a/memory.current", "900000\n");
  EXPECT_EQ(available_memory(root.path()), 1024u * 32000);
  root.file("sys/fs/cgroup/a/memory.max", "1000000\n");
  EXPECT_EQ(available_memory(root.path()), 100000u);
  root.file("sys/fs/cgroup/a/memory.stat", "anon 400000\nfile 500000\ninactive_file 300000\n");
  EXPECT_EQ(available_memory(root.path()), 400000u);
}

TEST(ProcessLimits, MemoryOfVersion1IsUnlimitedAtTheLargestNumber) {
  const FakeRoot root;
  root.file("proc/self/cgroup", "2:memory:/a\n");
  root.file("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n");
  root.file("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "5000\n");
  EXPECT_EQ(available_memory(root.path()), 1024u * 32000);
  root.file("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "4000\n");
  EXPECT_EQ(available_memory(root.path()), 1u);  // no memory is left; 0 would mean unknown
}

#if defined(__linux__)
TEST(ProcessLimits, DefaultNumberOfThreadsRespectsTheAffinity) {
  cpu_set_t before, one;
  if (sched_getaffinity(0, sizeof before, &before) != 0) GTEST_SKIP() << "too many processors";
  CPU_ZERO(&one);
  std::size_t first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  CPU_SET(first, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  set_num_threads(0);
  EXPECT_EQ(usable_processors(), 1);
  EXPECT_EQ(num_threads(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof before, &before), 0);
  set_num_threads(0);
  EXPECT_LE(num_threads(), usable_processors());
}
#endif

}  // namespace
}  // namespace rae::detail
