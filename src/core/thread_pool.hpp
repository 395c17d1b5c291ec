// The threads of parallel loops. Fork and join take about two microseconds, and spinning is
// bounded.
//
// The ranges of a loop are claimed, not assigned. Thread i first claims range i, so that loops over
// the same data find it in the caches of that core, and then any range that is still unclaimed. On
// a busy machine, where a thread may wait milliseconds for a core, the other threads do its work.
//
// A waiting thread spins for at most kSpin, then sleeps in the kernel until it is woken. Each
// thread wakes two others, so waking n threads takes log2(n) steps.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "rae/core/shape.hpp"

namespace rae::detail {

/// A pool of threads that run one loop at a time.
class ThreadPool {
 public:
  static constexpr int kMostThreads = 1024;

  ThreadPool() noexcept;
  /// Ends the threads. No loop may be running.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// Grows the pool to `count` threads, including the caller, and returns the number of threads. It
  /// is smaller than `count` when the system refuses to create more; loops then run on those.
  int grow(int count) noexcept;

  /// Calls task(context, i) for every i in [0, count), with count <= kMostThreads, on this thread
  /// and those of the pool, and returns when all calls have returned. `task` must not throw. Must
  /// not be called by two threads at a time. `patient`: waiting threads may spin; pass false when
  /// there are more threads than processors.
  void run(int count, void (*task)(void* context, index_t i), void* context, bool patient) noexcept;

 private:
  static constexpr int kBits = 32;  // ranges per claim word
  static constexpr std::size_t kLine = 64;

  /// Lower half: one bit for each of kBits ranges, set when it is claimed. Upper half: the number
  /// of the loop to which they belong.
  struct alignas(kLine) Claims {
    std::atomic<std::uint64_t> word{0};
  };
  struct alignas(kLine) Worker {
    std::atomic<std::uint32_t> asleep{0};  // a futex
    std::thread thread;
  };

  void work(int me, std::uint32_t seen) noexcept;
  std::uint32_t wait_for_loop(Worker& self, std::uint32_t seen,
                              std::chrono::steady_clock::time_point spin_until) noexcept;
  void wake_children(int me, int count) noexcept;
  bool claim(int range, std::uint32_t loop) noexcept;
  void take_part(int me, std::uint32_t loop) noexcept;
  void finish_range() noexcept;
  void wait_for_ranges() noexcept;

  // State of the current loop. Atomic, because late threads may read it while it changes; a thread
  // uses it only after claiming a range, which proves that it still belongs to the thread's loop.
  alignas(kLine) std::atomic<std::uint32_t> loop_{0};  // the number of the loop, 0 before the first
  std::atomic<bool> stop_{false}, patient_{true};
  std::atomic<int> count_{0}, processor_{-1};  // ranges; the caller's processor
  std::atomic<void (*)(void*, index_t)> task_{nullptr};
  std::atomic<void*> context_{nullptr};
  alignas(kLine) std::atomic<std::uint32_t> pending_{0};  // unfinished ranges; a futex
  std::unique_ptr<Claims[]> claims_;

  std::unique_ptr<std::unique_ptr<Worker>[]> workers_;  // worker i is thread i + 1
  std::atomic<int> size_{0};                            // workers
};

}  // namespace rae::detail
