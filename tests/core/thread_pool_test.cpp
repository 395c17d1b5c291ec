#include "core/thread_pool.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <numeric>

#if defined(__linux__)
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "rae/core/parallel.hpp"

namespace rae {
namespace {

using detail::ThreadPool;

/// Runs a loop of `count` ranges on `pool` and returns whether each range ran exactly once.
bool each_once(ThreadPool& pool, int count, bool patient) {
  std::vector<std::atomic<int>> seen(static_cast<std::size_t>(count));
  const auto mark = [](void* context, index_t i) {
    ++(*static_cast<std::vector<std::atomic<int>>*>(context))[static_cast<std::size_t>(i)];
  };
  pool.run(count, mark, &seen, patient);
  for (const auto& times : seen)
    if (times != 1) return false;
  return true;
}

TEST(ThreadPool, RunsEveryRangeOnceSpinningOrSleeping) {
  ThreadPool pool;
  EXPECT_EQ(pool.grow(5), 5);
  for (const bool patient : {true, false})
    for (int round = 0; round < 300; ++round)
      for (const int count : {2, 5, 3}) ASSERT_TRUE(each_once(pool, count, patient));
}

TEST(ThreadPool, RunsMoreRangesThanItHasThreads) {
  ThreadPool pool;
  EXPECT_TRUE(each_once(pool, 7, true));  // the caller is the only thread
  EXPECT_EQ(pool.grow(3), 3);
  for (const int count : {31, 32, 33, 64, 100, ThreadPool::kMostThreads})
    EXPECT_TRUE(each_once(pool, count, true)) << count;
  EXPECT_TRUE(each_once(pool, 2, true));
}

TEST(ThreadPool, SleepingThreadsAreWoken) {
  ThreadPool pool;
  EXPECT_EQ(pool.grow(6), 6);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    // All six threads wait for each other, so none may stay asleep.
    std::atomic<int> arrived{0};
    const auto meet = [](void* context, index_t) {
      auto& count = *static_cast<std::atomic<int>*>(context);
      ++count;
      while (count < 6) std::this_thread::yield();
    };
    pool.run(6, meet, &arrived, round % 2 == 0);
    EXPECT_EQ(arrived, 6);
  }
}

#if defined(__GLIBC__)
TEST(ThreadPool, WorksWithFewerThreadsThanRequested) {
  pthread_attr_t before, huge;
  ASSERT_EQ(pthread_getattr_default_np(&before), 0);
  ASSERT_EQ(pthread_attr_init(&huge), 0);
  ThreadPool pool;
  EXPECT_EQ(pool.grow(2), 2);
  // A stack larger than any address space, so that no thread can be created.
  ASSERT_EQ(pthread_attr_setstacksize(&huge, std::size_t{1} << 60), 0);
  ASSERT_EQ(pthread_setattr_default_np(&huge), 0);
  EXPECT_EQ(pool.grow(8), 2);
  EXPECT_TRUE(each_once(pool, 8, true));
  ASSERT_EQ(pthread_setattr_default_np(&before), 0);
  EXPECT_EQ(pool.grow(4), 4);
  EXPECT_TRUE(each_once(pool, 8, true));
  pthread_attr_destroy(&huge);
  pthread_attr_destroy(&before);
}
#endif

#if defined(__linux__)
/// Runs loops and returns the sum of their results, which must be 200 * 4950.
index_t sum_of_loops() {
  index_t total = 0;
  for (int round = 0; round < 200; ++round) {
    std::vector<index_t> parts(100);
    parallel_for(100, 1, [&](index_t i) { parts[static_cast<std::size_t>(i)] = i; });
    total += std::accumulate(parts.begin(), parts.end(), index_t{0});
  }
  return total;
}

TEST(Fork, ChildrenRunTheirOwnLoops) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the thread sanitizer does not support threads in a child of fork";
#endif
  set_num_threads(4);
  EXPECT_EQ(sum_of_loops(), 200 * 4950);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(sum_of_loops() == 200 * 4950 && sum_of_loops() == 200 * 4950 ? 0 : 1);
  EXPECT_EQ(sum_of_loops(), 200 * 4950);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  set_num_threads(0);
}
#endif

}  // namespace
}  // namespace rae
