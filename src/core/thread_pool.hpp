// The threads of parallel loops: fork and join in about two microseconds, waiting that is bounded.
//
// The ranges of a loop are claimed, not assigned. Thread i claims range i first, so that loops over
// the same data find it in that core's caches, and then any range that nobody has begun. On a busy
// machine, where a thread may have to wait milliseconds for a core, the others do its work.
//
// A thread that waits spins for kSpin, then sleeps in the kernel until it is woken. Each thread
// wakes two others, so waking n threads takes log2(n) steps.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "rae/core/shape.hpp"

namespace rae::detail {

class ThreadPool {
 public:
  static constexpr int kMostThreads = 1024;

  ThreadPool() noexcept;
  /// Ends the threads. No loop may be running.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// Tries to have `count` threads, the caller included; returns how many there are. Fewer when the
  /// system refuses to make them: loops then run on those.
  int grow(int count) noexcept;

  /// Calls task(context, i) for every i in [0, count), count <= kMostThreads, on this thread and
  /// those of the pool, and returns when all are done. `task` must not throw. One caller at a time.
  /// `patient`: waiting threads may spin; false when there are more threads than processors.
  void run(int count, void (*task)(void* context, index_t i), void* context, bool patient) noexcept;

 private:
  static constexpr int kBits = 32;  // ranges of a claim word
  static constexpr std::size_t kLine = 64;

  /// Which of kBits ranges are taken, in the lower half; of which loop, in the upper half.
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

  // Of the loop that runs. Read by late threads while they change, hence atomic: a thread acts on
  // them only after it claimed a range, which proves that they are still those of its loop.
  alignas(kLine) std::atomic<std::uint32_t> loop_{0};  // the number of the loop, 0 before the first
  std::atomic<bool> stop_{false}, patient_{true};
  std::atomic<int> count_{0}, processor_{-1};  // the caller's
  std::atomic<void (*)(void*, index_t)> task_{nullptr};
  std::atomic<void*> context_{nullptr};
  alignas(kLine) std::atomic<std::uint32_t> pending_{0};  // ranges that are not done; a futex
  std::unique_ptr<Claims[]> claims_;

  std::unique_ptr<std::unique_ptr<Worker>[]> workers_;  // worker i is thread i + 1
  std::atomic<int> size_{0};                            // workers
};

}  // namespace rae::detail
