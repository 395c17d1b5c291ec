// Parallel loops. The threads are in the compiled library; in a program that uses only headers,
// loops run on the calling thread. Exceptions reach the caller. In a CancellationScope
// (core/cancellation.hpp) a loop may throw Cancelled when it begins.
//
// Work is split by index, and no sum is split across threads, so results do not depend on the
// number of threads.
#pragma once

#include <type_traits>

#include "rae/config.hpp"
#include "rae/core/shape.hpp"

namespace rae {

namespace detail {

// Functions of the compiled library, in src/core/parallel.cpp. In code that is compiled without the
// library they are weak symbols, whose address is null unless the library is linked. The functions
// of this header test the address at run time, so they behave the same in every translation unit: a
// program compiled without the library's flags cannot make the library's loops serial.

/// Calls task(context, i) for every i in [0, count), in parallel, and rethrows the first exception.
RAE_LIBRARY_FUNCTION void run_tasks(index_t count, void (*task)(void* context, index_t i),
                                    void* context);

/// Throws Cancelled when the innermost CancellationScope of this thread (core/cancellation.hpp)
/// says so.
RAE_LIBRARY_FUNCTION void ask_cancellation();

/// The number of threads for a loop that this thread starts: num_threads(), or 1 inside the body of
/// another loop.
RAE_LIBRARY_FUNCTION int loop_threads() noexcept;

/// Implementations of num_threads, set_num_threads and parallel_backend.
RAE_LIBRARY_FUNCTION int thread_count() noexcept;
RAE_LIBRARY_FUNCTION void set_thread_count(int threads) noexcept;
RAE_LIBRARY_FUNCTION const char* backend_name() noexcept;

/// True when the compiled library is part of this program.
inline bool library_is_linked() noexcept {
#if RAE_LIBRARY
  return true;
#else
  return &run_tasks != nullptr;
#endif
}

}  // namespace detail

/// Name of the backend that runs the loops: "threads", "openmp" or "serial".
[[nodiscard]] inline const char* parallel_backend() noexcept {
  return detail::library_is_linked() ? detail::backend_name() : "serial";
}

/// Number of threads of parallel loops: the number given to `set_num_threads`, else the number of
/// processors that this process may use (its affinity, the CPU quotas of its cgroups and
/// OMP_NUM_THREADS are respected). Always 1 without the compiled library.
[[nodiscard]] inline int num_threads() noexcept {
  return detail::library_is_linked() ? detail::thread_count() : 1;
}

/// Sets the number of threads of every later loop; 0 means the number of processors that the
/// process may use, which is determined again. Has no effect on results. Throws ArgumentError below
/// 0 or above 1024.
inline void set_num_threads(int threads) {
  if (threads < 0 || threads > 1024)
    raise<ArgumentError>("set_num_threads: expected 0 to 1024, got ", threads);
  if (detail::library_is_linked()) detail::set_thread_count(threads);
}

/// A loop over [0, n) whose number of ranges is fixed at construction. Scratch memory for `slots()`
/// ranges is therefore enough for `run`, even if another thread calls set_num_threads in between.
class ParallelLoop {
 public:
  /// Splits [0, n) into at most num_threads() ranges of at least `grain` elements, so that small
  /// loops stay on one thread. A loop inside the body of another loop has one range.
  ParallelLoop(index_t n, index_t grain) noexcept : n_(n > 0 ? n : 0) {
    const index_t most = n_ / (grain > 1 ? grain : 1);
    if (most <= 1 || !detail::library_is_linked()) return;
    const index_t threads = detail::loop_threads();
    slots_ = most < threads ? most : threads;
  }

  /// The number of ranges, at least 1.
  [[nodiscard]] index_t slots() const noexcept { return slots_; }

  /// Calls `body(begin, end)` or `body(begin, end, slot)` on disjoint ranges that cover [0, n), in
  /// parallel; not at all when n is 0. Each range has its own `slot` in [0, slots()), the index of
  /// its scratch memory. The first exception of a body is rethrown.
  template <class Body>
  void run(Body&& body) const {
    if (n_ == 0) return;
    if (detail::library_is_linked()) detail::ask_cancellation();
    if (slots_ == 1) return call(body, 0, n_, 0);
    struct Context {
      std::remove_reference_t<Body>* body;
      index_t n, slots;
    } context{&body, n_, slots_};
    detail::run_tasks(
        slots_,
        [](void* memory, index_t i) {
          const Context& c = *static_cast<const Context*>(memory);
          call(*c.body, c.n * i / c.slots, c.n * (i + 1) / c.slots, i);
        },
        &context);
  }

 private:
  template <class Body>
  static void call(Body& body, index_t begin, index_t end, index_t slot) {
    if constexpr (std::is_invocable_v<Body&, index_t, index_t, index_t>)
      body(begin, end, slot);
    else
      body(begin, end);
  }

  index_t n_, slots_ = 1;
};

/// Runs a `ParallelLoop` over [0, n): for bodies that need no scratch memory or allocate their own.
template <class Body>
void parallel_ranges(index_t n, index_t grain, Body&& body) {
  ParallelLoop(n, grain).run(body);
}

/// As `parallel_ranges`, for element-wise loops: all ranges begin at multiples of 64, so the
/// elements in the scalar remainder of a vectorised loop are the same for every number of threads.
/// (The compiler may contract a*b + c into an FMA in the vector loop but not in the remainder.)
template <class Body>
void parallel_elements(index_t n, index_t grain, Body&& body) {
  constexpr index_t kStep = 64;
  parallel_ranges((n + kStep - 1) / kStep, grain / kStep, [&](index_t begin, index_t end) {
    body(begin * kStep, end * kStep < n ? end * kStep : n);
  });
}

/// Calls `body(i)` for every i in [0, n), in parallel; each thread makes at least `grain` calls.
template <class Body>
void parallel_for(index_t n, index_t grain, Body&& body) {
  parallel_ranges(n, grain, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) body(i);
  });
}

}  // namespace rae
