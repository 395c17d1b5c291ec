#include "rae/core/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <new>

#include "core/cancellation.hpp"
#include "core/kernel_profile.hpp"
#include "core/process_limits.hpp"
#include "core/thread_pool.hpp"

#if RAE_PARALLEL_OPENMP
#include <omp.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace rae::detail {
namespace {

using Task = void (*)(void* context, index_t i);

thread_local bool inside_loop = false;
std::atomic<int> requested{0};  // by set_num_threads; 0: all usable processors
std::atomic<int> usable{0};     // usable processors; 0: not determined yet

int usable_threads() noexcept {
  int count = usable.load(std::memory_order_relaxed);
  if (count > 0) return count;
  try {
    count = std::min(usable_processors(), ThreadPool::kMostThreads);
  } catch (...) {  // out of memory while reading files
    return 1;
  }
  usable.store(count, std::memory_order_relaxed);
  return count;
}

#if RAE_PARALLEL_OPENMP

int wanted_threads() noexcept { return omp_get_max_threads(); }

constexpr const char* kBackend = "openmp";
std::atomic<bool> child_of_fork{false};

// The child of a fork has none of the threads that the OpenMP runtime still expects and would wait
// for forever. Loops in a child therefore run on the calling thread.
void run_on_backend(index_t count, Task task, void* context) {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { child_of_fork.store(true); });
  if (registered != 0 || child_of_fork.load(std::memory_order_relaxed)) {
    for (index_t i = 0; i < count; ++i) task(context, i);
    return;
  }
#pragma omp parallel for num_threads(static_cast <int>(count)) schedule(static, 1)
  for (index_t i = 0; i < count; ++i) task(context, i);
}

void allow_new_threads() noexcept {}

#elif RAE_PARALLEL_THREADS

/// The first number in OMP_NUM_THREADS ("4", or "4,2" for nested levels). The variable is respected
/// because it also limits other libraries.
int wanted_threads() noexcept {
  static const int wanted = [] {
    const char* const text = std::getenv("OMP_NUM_THREADS");
    const long threads = text != nullptr ? std::strtol(text, nullptr, 10) : 0;
    return threads > 0 && threads < ThreadPool::kMostThreads ? static_cast<int>(threads)
                                                             : ThreadPool::kMostThreads;
  }();
  return wanted;
}

constexpr const char* kBackend = "threads";

/// The pool of this process, which runs one loop at a time. While it is busy, a loop of another
/// caller runs on that caller's thread alone, so that no more threads run than were requested.
std::atomic<bool> busy{false};
std::atomic<ThreadPool*> pool{nullptr};
std::atomic<int> refused{0};  // the number of threads at which the system refused more; 0: none

/// Ends the threads when the program ends or the shared library is unloaded.
struct PoolOwner {
  ~PoolOwner() {
    if (busy.exchange(true)) return;  // another thread still runs a loop, which exit() allows
    delete pool.exchange(nullptr);
  }
} pool_owner;

// The child of a fork has none of the pool's threads. It abandons the pool without freeing it, and
// creates a new one when needed.
void forget_pool() noexcept {
  pool.store(nullptr);
  busy.store(false);
}

ThreadPool* pool_of_process() noexcept {
  ThreadPool* own = pool.load();
  if (own != nullptr) return own;
  static const int registered = pthread_atfork(nullptr, nullptr, forget_pool);
  if (registered != 0) return nullptr;
  own = new (std::nothrow) ThreadPool;
  pool.store(own);
  return own;
}

void run_on_backend(index_t count, Task task, void* context) {
  if (!busy.exchange(true, std::memory_order_acquire)) {
    const int threads = static_cast<int>(count);
    ThreadPool* const own = pool_of_process();
    if (own != nullptr) {
      const int most = refused.load(std::memory_order_relaxed);
      if ((most == 0 || threads < most) && own->grow(threads) < threads)
        refused.store(threads, std::memory_order_relaxed);
      own->run(threads, task, context, threads <= usable_threads());
      busy.store(false, std::memory_order_release);
      return;
    }
    busy.store(false, std::memory_order_release);
  }
  for (index_t i = 0; i < count; ++i) task(context, i);
}

void allow_new_threads() noexcept { refused.store(0, std::memory_order_relaxed); }

#else

int wanted_threads() noexcept { return ThreadPool::kMostThreads; }

constexpr const char* kBackend = "serial";

void run_on_backend(index_t count, Task task, void* context) {
  for (index_t i = 0; i < count; ++i) task(context, i);
}

void allow_new_threads() noexcept {}

#endif

/// The task of a loop, which catches exceptions and keeps the first one.
struct Guarded {
  Task task;
  void* context;
  ProfiledLoop* profiled;
  const CancellationScope* scope = cancellation_scope();
  std::atomic<bool> taken{false};
  std::exception_ptr first{};

  static void run(void* memory, index_t i) noexcept {
    auto& self = *static_cast<Guarded*>(memory);
    const CancellationScope* const before = cancellation_scope();
    set_cancellation_scope(self.scope);
    inside_loop = true;
    try {
      self.profiled->run([&] { self.task(self.context, i); });
    } catch (...) {
      if (!self.taken.exchange(true)) self.first = std::current_exception();
    }
    inside_loop = false;
    set_cancellation_scope(before);
  }
};

}  // namespace

void run_tasks(index_t count, Task task, void* context) {
  if (inside_loop) {  // a ParallelLoop made outside a loop, but run in its body
    for (index_t i = 0; i < count; ++i) task(context, i);
    return;
  }
  ProfiledLoop profiled;
  Guarded guarded{task, context, &profiled};
  run_on_backend(count, &Guarded::run, &guarded);
  if (guarded.first) std::rethrow_exception(guarded.first);
}

int loop_threads() noexcept { return inside_loop ? 1 : thread_count(); }

int thread_count() noexcept {
  const int asked = requested.load(std::memory_order_relaxed);
  return asked > 0 ? asked : std::min(usable_threads(), wanted_threads());
}

void set_thread_count(int threads) noexcept {
  requested.store(threads, std::memory_order_relaxed);
  if (threads == 0) usable.store(0, std::memory_order_relaxed);
  allow_new_threads();
}

const char* backend_name() noexcept { return kBackend; }

}  // namespace rae::detail
