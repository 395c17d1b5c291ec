// Parallel loops over OpenMP, std::thread or nothing, chosen when the library is built. Exceptions
// are carried out.
//
// Work is split by index, never by a reduction across threads, so what a loop computes does not
// depend on the thread count.
#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include "rae/config.hpp"
#include "rae/core/shape.hpp"

#if RAE_PARALLEL_OPENMP && defined(_OPENMP)
#include <omp.h>
#elif RAE_PARALLEL_THREADS
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>
#endif

namespace rae {

namespace detail {

/// A reference to a callable `void(index_t task)`, without the allocation of std::function.
class TaskRef {
 public:
  template <class F>
  explicit TaskRef(F& f) noexcept
      : object_(std::addressof(f)), call_([](void* o, index_t i) { (*static_cast<F*>(o))(i); }) {}
  void operator()(index_t i) const { call_(object_, i); }

 private:
  void* object_;
  void (*call_)(void*, index_t);
};

inline std::atomic<int> requested_threads{0};
inline thread_local bool inside_parallel = false;

int hardware_threads() noexcept;
void run_tasks(index_t tasks, int threads, TaskRef task) noexcept;

/// Keeps the first exception of a parallel region for the thread that joins.
class ExceptionCarrier {
 public:
  template <class F>
  void run(F&& f) noexcept {
    try {
      f();
    } catch (...) {
      if (!taken_.exchange(true)) first_ = std::current_exception();
    }
  }
  void rethrow() const {
    if (first_) std::rethrow_exception(first_);
  }

 private:
  std::atomic<bool> taken_{false};
  std::exception_ptr first_;
};

#if RAE_PARALLEL_OPENMP && defined(_OPENMP)

inline int hardware_threads() noexcept { return omp_get_max_threads(); }

inline void run_tasks(index_t tasks, int threads, TaskRef task) noexcept {
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (index_t i = 0; i < tasks; ++i) {
    inside_parallel = true;
    task(i);
    inside_parallel = false;
  }
}

#elif RAE_PARALLEL_THREADS

inline int hardware_threads() noexcept {
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

/// Workers that wait for the next loop. Task i belongs to thread i mod team size.
class Team {
 public:
  static Team& instance() {
    static Team team;
    return team;
  }

  void run(index_t tasks, int threads, TaskRef task) {
    const std::lock_guard one_at_a_time(callers_);
    grow(threads - 1);
    {
      const std::lock_guard lock(mutex_);
      task_ = &task;
      tasks_ = tasks;
      team_ = threads;
      pending_ = static_cast<int>(workers_.size());
      ++generation_;
    }
    wake_.notify_all();
    work(0, tasks, threads, task);
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return pending_ == 0; });
  }

  ~Team() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
  }

 private:
  static void work(int me, index_t tasks, int threads, const TaskRef& task) {
    inside_parallel = true;
    for (index_t i = me; i < tasks; i += threads) task(i);
    inside_parallel = false;
  }

  void grow(int wanted) {
    while (static_cast<int>(workers_.size()) < wanted) {
      const int me = static_cast<int>(workers_.size()) + 1;
      const std::uint64_t seen = generation_;
      workers_.emplace_back([this, me, seen] { loop(me, seen); });
    }
  }

  void loop(int me, std::uint64_t seen) {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return stop_ || generation_ != seen; });
      if (stop_) return;
      seen = generation_;
      const TaskRef task = *task_;
      const index_t tasks = tasks_;
      const int team = team_;
      lock.unlock();
      if (me < team) work(me, tasks, team, task);
      lock.lock();
      if (--pending_ == 0) done_.notify_one();
    }
  }

  std::mutex callers_, mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  const TaskRef* task_ = nullptr;
  index_t tasks_ = 0;
  int team_ = 0, pending_ = 0;
  std::uint64_t generation_ = 0;
  bool stop_ = false;
};

inline void run_tasks(index_t tasks, int threads, TaskRef task) noexcept {
  Team::instance().run(tasks, threads, task);
}

#else

inline int hardware_threads() noexcept { return 1; }

inline void run_tasks(index_t tasks, int, TaskRef task) noexcept {
  inside_parallel = true;
  for (index_t i = 0; i < tasks; ++i) task(i);
  inside_parallel = false;
}

#endif

}  // namespace detail

/// Name of the backend that this build uses: "openmp", "threads" or "serial".
constexpr const char* parallel_backend() noexcept {
#if RAE_PARALLEL_OPENMP && defined(_OPENMP)
  return "openmp";
#elif RAE_PARALLEL_THREADS
  return "threads";
#else
  return "serial";
#endif
}

/// Threads that parallel loops use: what `set_num_threads` asked for, else what the machine has.
[[nodiscard]] inline int num_threads() noexcept {
  const int requested = detail::requested_threads.load(std::memory_order_relaxed);
  return requested > 0 ? requested : detail::hardware_threads();
}

/// Sets the number of threads of every later loop; 0 returns to the machine's number. Throws
/// ArgumentError below 0 or above 1024.
inline void set_num_threads(int threads) {
  if (threads < 0 || threads > 1024)
    raise<ArgumentError>("set_num_threads: expected 0 to 1024, got ", threads);
  detail::requested_threads.store(threads, std::memory_order_relaxed);
}

/// A loop over [0, n) whose number of ranges is fixed when it is made. Scratch memory of `slots()`
/// parts is then enough for `run`, even when another thread calls set_num_threads between the two.
class ParallelLoop {
 public:
  /// Splits [0, n) into at most num_threads() ranges of at least `grain` elements, so that tiny
  /// loops stay on one thread. A loop made inside the body of another has one range.
  ParallelLoop(index_t n, index_t grain) noexcept
      : n_(std::max<index_t>(0, n)),
        slots_(detail::inside_parallel
                   ? 1
                   : std::clamp<index_t>(n_ / std::max<index_t>(1, grain), 1, num_threads())) {}

  /// The number of ranges, at least 1.
  [[nodiscard]] index_t slots() const noexcept { return slots_; }

  /// Calls `body(begin, end)` or `body(begin, end, slot)` on disjoint ranges that cover [0, n), in
  /// parallel; not at all when n is 0. Each range has its own `slot` in [0, slots()), which can
  /// choose a part of scratch memory. The first exception of a body is rethrown.
  template <class Body>
  void run(Body&& body) const {
    auto call = [&](index_t begin, index_t end, index_t slot) {
      if constexpr (std::is_invocable_v<Body&, index_t, index_t, index_t>)
        body(begin, end, slot);
      else
        body(begin, end);
    };
    if (n_ == 0) return;
    if (slots_ == 1) return call(0, n_, 0);
    detail::ExceptionCarrier carrier;
    auto task = [&](index_t i) {
      carrier.run([&] { call(n_ * i / slots_, n_ * (i + 1) / slots_, i); });
    };
    detail::run_tasks(slots_, static_cast<int>(slots_), detail::TaskRef(task));
    carrier.rethrow();
  }

 private:
  index_t n_, slots_;
};

/// Makes a `ParallelLoop` over [0, n) and runs it: for bodies that need no scratch memory, or make
/// their own.
template <class Body>
void parallel_ranges(index_t n, index_t grain, Body&& body) {
  ParallelLoop(n, grain).run(body);
}

/// As `parallel_ranges`, for loops over single elements: ranges begin at multiples of 64. The
/// elements that a vector loop leaves to its scalar end, where the compiler may contract other
/// products, are then the same for every number of threads.
template <class Body>
void parallel_elements(index_t n, index_t grain, Body&& body) {
  constexpr index_t kStep = 64;
  parallel_ranges((n + kStep - 1) / kStep, grain / kStep, [&](index_t begin, index_t end) {
    body(begin * kStep, std::min(n, end * kStep));
  });
}

/// Calls `body(i)` for every i in [0, n), in parallel; at least `grain` calls go to one thread.
template <class Body>
void parallel_for(index_t n, index_t grain, Body&& body) {
  parallel_ranges(n, grain, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) body(i);
  });
}

}  // namespace rae
