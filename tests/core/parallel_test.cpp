#include "rae/core/parallel.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "rae/core/random.hpp"

namespace rae {
namespace {

class Parallel : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { set_num_threads(GetParam()); }
  void TearDown() override { set_num_threads(0); }
};

INSTANTIATE_TEST_SUITE_P(Threads, Parallel, testing::Values(1, 2, 3, 8, 33));

TEST_P(Parallel, EveryIndexOnce) {
  for (const index_t n : {0, 1, 2, 7, 64, 1001})
    for (const index_t grain : {1, 5, 64, 5000}) {
      std::vector<std::atomic<int>> seen(static_cast<std::size_t>(n));
      parallel_for(n, grain, [&](index_t i) { ++seen[static_cast<std::size_t>(i)]; });
      for (const auto& count : seen) ASSERT_EQ(count.load(), 1) << n << " " << grain;
    }
}

TEST_P(Parallel, RangesCoverAndRespectTheGrain) {
  constexpr index_t n = 1000;
  for (const index_t grain : {1, 30, 400, 2000}) {
    std::vector<std::atomic<int>> seen(n);
    std::atomic<int> ranges{0};
    parallel_ranges(n, grain, [&](index_t begin, index_t end) {
      ++ranges;
      EXPECT_LT(begin, end);
      EXPECT_GE(end - begin, std::min(grain, n));
      for (index_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
    });
    EXPECT_LE(ranges.load(), GetParam());
    for (const auto& count : seen) ASSERT_EQ(count.load(), 1);
  }
}

TEST_P(Parallel, SlotsAreSmallAndNotShared) {
  std::vector<std::atomic<int>> users(static_cast<std::size_t>(num_threads()));
  parallel_ranges(10000, 1, [&](index_t, index_t, index_t slot) {
    ASSERT_GE(slot, 0);
    ASSERT_LT(slot, num_threads());
    ++users[static_cast<std::size_t>(slot)];
  });
  for (const auto& count : users) EXPECT_LE(count.load(), 1);
}

TEST_P(Parallel, LoopsKeepTheirSlotsWhenTheNumberOfThreadsChanges) {
  const ParallelLoop loop(10000, 1);
  EXPECT_EQ(loop.slots(), GetParam());
  set_num_threads(64);
  std::vector<std::atomic<int>> users(static_cast<std::size_t>(loop.slots()));
  loop.run([&](index_t, index_t, index_t slot) {
    ASSERT_LT(slot, loop.slots());
    ++users[static_cast<std::size_t>(slot)];
  });
  for (const auto& count : users) EXPECT_EQ(count.load(), 1);
}

TEST_P(Parallel, NegativeAndZeroSizesDoNothing) {
  for (const index_t n : {0, -1, -1000}) parallel_for(n, 1, [](index_t) { FAIL() << "called"; });
}

TEST_P(Parallel, ExceptionsAreRethrownAndTheNextLoopRuns) {
  EXPECT_THROW(parallel_for(100, 1,
                            [](index_t i) {
                              if (i == 42) raise<ShapeError>("index ", i);
                            }),
               ShapeError);
  try {
    parallel_for(100, 1, [](index_t) { throw std::out_of_range("each throws"); });
    FAIL() << "no exception";
  } catch (const std::out_of_range& error) {
    EXPECT_STREQ(error.what(), "each throws");
  }
  std::atomic<int> calls{0};
  parallel_for(100, 1, [&](index_t) { ++calls; });
  EXPECT_EQ(calls.load(), 100);
}

TEST_P(Parallel, NestedLoopsRunOnTheCallersThread) {
  std::vector<std::atomic<int>> seen(64 * 64);
  std::atomic<int> elsewhere{0};
  parallel_for(64, 1, [&](index_t i) {
    const auto outer = std::this_thread::get_id();
    parallel_ranges(64, 1, [&](index_t begin, index_t end, index_t slot) {
      EXPECT_EQ(slot, 0);
      if (std::this_thread::get_id() != outer) ++elsewhere;
      for (index_t j = begin; j < end; ++j) ++seen[static_cast<std::size_t>(i * 64 + j)];
    });
  });
  EXPECT_EQ(elsewhere.load(), 0);
  for (const auto& count : seen) ASSERT_EQ(count.load(), 1);
}

TEST_P(Parallel, ExceptionsOfNestedLoopsAreRethrown) {
  EXPECT_THROW(parallel_for(8, 1,
                            [](index_t) {
                              parallel_for(8, 1, [](index_t j) {
                                if (j == 3) raise<NumericError>("inner");
                              });
                            }),
               NumericError);
}

TEST_P(Parallel, ResultDoesNotDependOnTheThreadCount) {
  const auto compute = [] {
    std::vector<float> out(5000);
    const Philox random(3);
    parallel_for(5000, 16, [&](index_t i) {
      float sum = 0;
      for (std::uint64_t k = 0; k < 32; ++k)
        sum += random.normal(static_cast<std::uint64_t>(i) * 32 + k);
      out[static_cast<std::size_t>(i)] = sum;
    });
    return out;
  };
  const auto here = compute();
  set_num_threads(1);
  EXPECT_EQ(here, compute());
}

TEST_P(Parallel, ManySmallLoops) {
  index_t total = 0;
  std::vector<index_t> parts(64);
  for (int loop = 0; loop < 200; ++loop) {
    parallel_for(64, 1, [&](index_t i) { parts[static_cast<std::size_t>(i)] = i + loop; });
    total += std::accumulate(parts.begin(), parts.end(), index_t{0});
  }
  EXPECT_EQ(total, 200 * (63 * 64 / 2) + 64 * (199 * 200 / 2));
}

TEST_P(Parallel, LoopsOfSeveralCallersDoNotMix) {
  std::vector<std::thread> callers;
  std::vector<index_t> sums(3);
  for (std::size_t me = 0; me < sums.size(); ++me)
    callers.emplace_back([&sums, me] {
      for (int round = 0; round < 20; ++round) {
        std::vector<index_t> parts(200);
        parallel_for(200, 1, [&](index_t i) { parts[static_cast<std::size_t>(i)] = i; });
        sums[me] += std::accumulate(parts.begin(), parts.end(), index_t{0});
      }
    });
  for (auto& caller : callers) caller.join();
  for (const index_t sum : sums) EXPECT_EQ(sum, 20 * 199 * 100);
}

TEST(ParallelSettings, ThreadCountIsStoredAndChecked) {
  set_num_threads(5);
  EXPECT_EQ(num_threads(), 5);
  EXPECT_THROW(set_num_threads(-1), ArgumentError);
  EXPECT_THROW(set_num_threads(1025), ArgumentError);
  EXPECT_EQ(num_threads(), 5);
  set_num_threads(0);
  EXPECT_GE(num_threads(), 1);
}

TEST(ParallelSettings, BackendIsTheConfiguredOne) {
  EXPECT_STREQ(parallel_backend(), RAE_EXPECTED_BACKEND);
}

TEST(ParallelElements, RangesBeginAtMultiplesOf64AndCoverAll) {
  for (const int threads : {1, 3, 4}) {
    set_num_threads(threads);
    for (const index_t n : {0, 1, 63, 64, 65, 1000}) {
      std::vector<std::atomic<int>> seen(static_cast<std::size_t>(n));
      parallel_elements(n, 64, [&](index_t begin, index_t end) {
        EXPECT_EQ(begin % 64, 0);
        for (index_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
      });
      for (const auto& count : seen) EXPECT_EQ(count.load(), 1);
    }
  }
  set_num_threads(0);
}

}  // namespace
}  // namespace rae
