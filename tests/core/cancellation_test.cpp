#include "rae/core/cancellation.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>

#include "core/cancellation.hpp"
#include "rae/error.hpp"

namespace rae {
namespace {

class Cancellation : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { set_num_threads(GetParam()); }
  void TearDown() override { set_num_threads(0); }
};

INSTANTIATE_TEST_SUITE_P(Threads, Cancellation, testing::Values(1, 2, 5));

TEST_P(Cancellation, ALoopBeginsUnlessTheScopeSaysStop) {
  bool stop = false;
  index_t calls = 0;
  const auto loop = [&] { parallel_ranges(1, 1, [&](index_t, index_t) { ++calls; }); };
  const CancellationScope scope([&] { return stop; });
  loop();
  EXPECT_EQ(calls, 1);
  stop = true;
  EXPECT_THROW(loop(), Cancelled);
  EXPECT_THROW(stop_if_cancelled(), Cancelled);
  EXPECT_EQ(calls, 1);
}

TEST_P(Cancellation, TheThreadsOfALoopAskTheScopeOfItsCaller) {
  std::atomic<bool> stop{false};
  std::atomic<int> after{0};
  const CancellationScope scope([&] { return stop.load(); });
  EXPECT_THROW(parallel_ranges(1000, 1,
                               [&](index_t, index_t) {
                                 stop = true;
                                 stop_if_cancelled();
                                 ++after;
                               }),
               Cancelled);
  EXPECT_EQ(after.load(), 0);
  std::optional<bool> other;
  std::thread([&] {
    stop_if_cancelled();  // another thread is not concerned
    other = true;
  }).join();
  EXPECT_TRUE(other);
}

TEST_P(Cancellation, OnlyTheInnermostScopeIsAsked) {
  const CancellationScope outer([] { return true; });
  EXPECT_THROW(stop_if_cancelled(), Cancelled);
  {
    const CancellationScope completed(nullptr);
    EXPECT_FALSE(completed.should_stop());
    EXPECT_NO_THROW(stop_if_cancelled());
    index_t calls = 0;
    parallel_ranges(1, 1, [&](index_t, index_t) { ++calls; });
    EXPECT_EQ(calls, 1);
  }
  EXPECT_THROW(stop_if_cancelled(), Cancelled);
}

TEST(RunCancellable, ReturnsOrThrowsAsItsWork) {
  for (const bool inside : {false, true}) {
    std::optional<CancellationScope> scope;
    if (inside) scope.emplace([] { return false; });
    bool done = false;
    detail::run_cancellable([&] { done = true; });
    EXPECT_TRUE(done);
    EXPECT_THROW(detail::run_cancellable([] { raise<NumericError>("no"); }), NumericError);
  }
}

TEST(RunCancellable, DoesNotWaitForItsWork) {
  struct Shared {
    std::atomic<bool> go{false}, ended{false};
  };
  const auto shared = std::make_shared<Shared>();
  index_t questions = 0;
  {
    const CancellationScope scope([&] { return ++questions > 2; });
    EXPECT_THROW(detail::run_cancellable([shared] {
                   while (!shared->go) std::this_thread::yield();
                   shared->ended = true;
                 }),
                 Cancelled);
  }
  EXPECT_FALSE(shared->ended);
  shared->go = true;
  while (!shared->ended) std::this_thread::yield();
}

}  // namespace
}  // namespace rae
