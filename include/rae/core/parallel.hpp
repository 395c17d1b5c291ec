// Parallel loops. The compiled library has the threads; in a program that uses headers alone, loops
// run on the calling thread. Exceptions are carried out.
//
// Work is split by index, never by a reduction across threads, so what a loop computes does not
// depend on the number of threads.
#pragma once

#include <type_traits>

#include "rae/config.hpp"
#include "rae/core/shape.hpp"

namespace rae {

namespace detail {

// Functions of the compiled library, in src/core/parallel.cpp. Where only headers are used they are
// weak: their address is null when the library is not linked. All code of this header asks for the
// address, so it is the same wherever it is compiled, and a program that is built without the
// library's flags cannot make the library's loops serial.

/// Calls task(context, i) for every i in [0, count), in parallel, and rethrows the first exception.
RAE_LIBRARY_FUNCTION void run_tasks(index_t count, void (*task)(void* context, index_t i),
                                    void* context);

/// Threads that a loop of this thread may use: num_threads(), or 1 inside the body of another loop.
RAE_LIBRARY_FUNCTION int loop_threads() noexcept;

RAE_LIBRARY_FUNCTION int thread_count() noexcept;
RAE_LIBRARY_FUNCTION void set_thread_count(int threads) noexcept;
RAE_LIBRARY_FUNCTION const char* backend_name() noexcept;

/// Whether the compiled library is part of this program.
inline bool library_is_linked() noexcept {
#if RAE_LIBRARY
  return true;
#else
  return &run_tasks != nullptr;
#endif
}

}  // namespace detail

/// Name of what runs the loops: "threads", "openmp" or "serial".
[[nodiscard]] inline const char* parallel_backend() noexcept {
  return detail::library_is_linked() ? detail::backend_name() : "serial";
}

/// Threads that parallel loops use: the number that `set_num_threads` asked for, else the
/// processors that this process may use (its affinity, the CPU quotas of its cgroups and
/// OMP_NUM_THREADS are respected). Always 1 without the compiled library.
[[nodiscard]] inline int num_threads() noexcept {
  return detail::library_is_linked() ? detail::thread_count() : 1;
}

/// Sets the number of threads of every later loop; 0 returns to the processors that the process may
/// use, counted again. Without effect on results. Throws ArgumentError below 0 or above 1024.
inline void set_num_threads(int threads) {
  if (threads < 0 || threads > 1024)
    raise<ArgumentError>("set_num_threads: expected 0 to 1024, got ", threads);
  if (detail::library_is_linked()) detail::set_thread_count(threads);
}

/// A loop over [0, n) whose number of ranges is fixed when it is made. Scratch memory of `slots()`
/// parts is then enough for `run`, even when another thread calls set_num_threads between the two.
class ParallelLoop {
 public:
  /// Splits [0, n) into at most num_threads() ranges of at least `grain` elements, so that tiny
  /// loops stay on one thread. A loop made inside the body of another has one range.
  ParallelLoop(index_t n, index_t grain) noexcept : n_(n > 0 ? n : 0) {
    const index_t most = n_ / (grain > 1 ? grain : 1);
    if (most <= 1 || !detail::library_is_linked()) return;
    const index_t threads = detail::loop_threads();
    slots_ = most < threads ? most : threads;
  }

  /// The number of ranges, at least 1.
  [[nodiscard]] index_t slots() const noexcept { return slots_; }

  /// Calls `body(begin, end)` or `body(begin, end, slot)` on disjoint ranges that cover [0, n), in
  /// parallel; not at all when n is 0. Each range has its own `slot` in [0, slots()), which can
  /// choose a part of scratch memory. The first exception of a body is rethrown.
  template <class Body>
  void run(Body&& body) const {
    if (n_ == 0) return;
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
    body(begin * kStep, end * kStep < n ? end * kStep : n);
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
