#include "core/thread_pool.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <system_error>

#if defined(__linux__)
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace rae::detail {
namespace {

using Clock = std::chrono::steady_clock;

// How long a thread spins before it sleeps: about the time that waking a sleeping thread takes.
constexpr auto kSpin = std::chrono::microseconds(40);
constexpr std::uint64_t kAllRanges = 0xffffffffu;                // of a claim word
constexpr std::uint32_t kCallerSleeps = std::uint32_t{1} << 31;  // a bit of pending_

inline void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

/// The processor that this thread runs on; -1: unknown.
int processor() noexcept {
#if defined(__linux__)
  return ::sched_getcpu();
#else
  return -1;
#endif
}

/// Spins until `ready()` is true or the time is `until`; returns ready(). Reads the clock once per
/// kPauses pauses, because that is slow.
template <class Ready>
bool spin(Clock::time_point until, Ready ready) noexcept {
  constexpr int kPauses = 16;
  for (;;) {
    for (int i = 0; i < kPauses; ++i) {
      if (ready()) return true;
      pause();
    }
    if (Clock::now() >= until) return ready();
  }
}

/// Sleeps while `word` is `value`; may return early.
void sleep_while(std::atomic<std::uint32_t>& word, std::uint32_t value) noexcept {
#if defined(__linux__)
  static_assert(sizeof(word) == sizeof(std::uint32_t));
  ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAIT_PRIVATE, value, nullptr,
            nullptr, 0);
#else
  word.wait(value);
#endif
}

/// Wakes a thread that sleeps on `word`.
void wake(std::atomic<std::uint32_t>& word) noexcept {
#if defined(__linux__)
  ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAKE_PRIVATE, 1, nullptr,
            nullptr, 0);
#else
  word.notify_one();
#endif
}

}  // namespace

ThreadPool::ThreadPool() noexcept = default;

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  loop_.fetch_add(1, std::memory_order_seq_cst);
  for (int i = 0; i < size_; ++i) {
    Worker& worker = *workers_[static_cast<std::size_t>(i)];
    if (worker.asleep.exchange(0) != 0) wake(worker.asleep);
    worker.thread.join();
  }
}

int ThreadPool::grow(int count) noexcept {
  try {
    if (!claims_) {
      auto workers = std::make_unique<std::unique_ptr<Worker>[]>(kMostThreads);
      claims_ = std::make_unique<Claims[]>(kMostThreads / kBits);
      workers_ = std::move(workers);
    }
    for (int size = size_; size + 1 < count; ++size) {
      auto& worker = workers_[static_cast<std::size_t>(size)];
      worker = std::make_unique<Worker>();
      worker->thread = std::thread(&ThreadPool::work, this, size + 1, loop_.load());
      size_ = size + 1;
    }
  } catch (const std::system_error&) {  // the system refuses more threads
  } catch (const std::bad_alloc&) {
  }
  return size_ + 1;
}

bool ThreadPool::claim(int range, std::uint32_t loop) noexcept {
  std::atomic<std::uint64_t>& word = claims_[static_cast<std::size_t>(range / kBits)].word;
  const std::uint64_t bit = std::uint64_t{1} << (range % kBits);
  std::uint64_t seen = word.load(std::memory_order_relaxed);
  while (seen >> 32 == loop && (seen & bit) == 0)
    if (word.compare_exchange_weak(seen, seen | bit, std::memory_order_acq_rel)) return true;
  return false;
}

void ThreadPool::finish_range() noexcept {
  if (pending_.fetch_sub(1, std::memory_order_acq_rel) - 1 == kCallerSleeps) wake(pending_);
}

void ThreadPool::take_part(int me, std::uint32_t loop) noexcept {
  const int count = count_.load(std::memory_order_relaxed);
  const auto task = task_.load(std::memory_order_relaxed);
  void* const context = context_.load(std::memory_order_relaxed);
  if (me >= count) return;
  for (int i = 0; i < count; ++i) {
    const int range = (me + i) % count;
    if (!claim(range, loop)) continue;
    task(context, range);
    finish_range();
  }
}

void ThreadPool::wake_children(int me, int count) noexcept {
  for (int child = 2 * me + 1; child <= 2 * me + 2 && child < count; ++child) {
    if (child > size_.load(std::memory_order_acquire)) return;
    std::atomic<std::uint32_t>& asleep = workers_[static_cast<std::size_t>(child - 1)]->asleep;
    if (asleep.load(std::memory_order_seq_cst) != 0 && asleep.exchange(0) != 0) wake(asleep);
  }
}

void ThreadPool::run(int count, void (*task)(void* context, index_t i), void* context,
                     bool patient) noexcept {
  if (size_ == 0) {
    for (int i = 0; i < count; ++i) task(context, i);
    return;
  }
  const std::uint32_t before = loop_.load(std::memory_order_relaxed),
                      loop = before + 1 == 0 ? 1 : before + 1;
  count_.store(count, std::memory_order_relaxed);
  task_.store(task, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  patient_.store(patient, std::memory_order_relaxed);
  pending_.store(static_cast<std::uint32_t>(count), std::memory_order_relaxed);
  processor_.store(processor(), std::memory_order_relaxed);
  // Bits beyond `count` are set as if claimed: a late thread of the previous loop that reads the
  // new count finds nothing to claim.
  for (int first = 0; first < count; first += kBits) {
    const std::uint64_t missing =
        count - first < kBits ? kAllRanges & ~((std::uint64_t{1} << (count - first)) - 1) : 0;
    claims_[static_cast<std::size_t>(first / kBits)].word.store(std::uint64_t{loop} << 32 | missing,
                                                                std::memory_order_release);
  }
  loop_.store(loop, std::memory_order_seq_cst);
  wake_children(0, count);
  take_part(0, loop);
  wait_for_ranges();
}

void ThreadPool::wait_for_ranges() noexcept {
  const auto done = [this] { return pending_.load(std::memory_order_acquire) == 0; };
  if (done()) return;
  if (patient_.load(std::memory_order_relaxed) && spin(Clock::now() + kSpin, done)) return;
  std::uint32_t left = pending_.fetch_or(kCallerSleeps, std::memory_order_acq_rel) | kCallerSleeps;
  while (left != kCallerSleeps) {
    sleep_while(pending_, left);
    left = pending_.load(std::memory_order_acquire);
  }
}

std::uint32_t ThreadPool::wait_for_loop(Worker& self, std::uint32_t seen,
                                        Clock::time_point spin_until) noexcept {
  const auto begun = [&] { return loop_.load(std::memory_order_acquire) != seen; };
  if (!spin(spin_until, begun)) {
    self.asleep.store(1, std::memory_order_seq_cst);
    while (loop_.load(std::memory_order_seq_cst) == seen) {
      sleep_while(self.asleep, 1);
      if (self.asleep.load(std::memory_order_seq_cst) == 0 &&
          loop_.load(std::memory_order_seq_cst) == seen)
        self.asleep.store(1, std::memory_order_seq_cst);
    }
    self.asleep.store(0, std::memory_order_relaxed);
  }
  return loop_.load(std::memory_order_acquire);
}

void ThreadPool::work(int me, std::uint32_t seen) noexcept {
  Worker& self = *workers_[static_cast<std::size_t>(me - 1)];
  auto spin_until = Clock::now() + kSpin;
  for (;;) {
    seen = wait_for_loop(self, seen, spin_until);
    if (stop_.load(std::memory_order_relaxed)) return;
    const int count = count_.load(std::memory_order_relaxed);
    if (me >= count) continue;
    wake_children(me, count);
    // Two threads of a loop on one processor mean that the machine is busy. Spinning would then
    // keep the other thread from running.
    const auto crowded = [this] {
      const int here = processor();
      return here >= 0 && here == processor_.load(std::memory_order_relaxed);
    };
    if (crowded()) patient_.store(false, std::memory_order_relaxed);
    take_part(me, seen);
    spin_until = Clock::now();
    if (patient_.load(std::memory_order_relaxed) && !crowded()) spin_until += kSpin;
  }
}

}  // namespace rae::detail
