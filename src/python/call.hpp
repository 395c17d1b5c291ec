// Calls into the library without Python's global lock, which signals and exceptions of Python can
// interrupt.
#pragma once

#include <nanobind/nanobind.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include "rae/core/cancellation.hpp"
#include "rae/error.hpp"

namespace rae::python {

namespace nb = nanobind;

/// Python's side of a call: whether it wants the call to stop, and the exception that is the
/// reason. Belongs to the thread that created it.
class Interrupts {
 public:
  /// True when a signal handler or a callback of this call has raised an exception. Handlers run
  /// at most every 20 ms, and only on the thread of the call. For any thread, without the global
  /// lock.
  bool should_stop();

  /// Calls a function of Python with the global lock, and keeps its exception. False when it
  /// raised one or returned False.
  template <class F>
  bool ask(F&& function) {
    const nb::gil_scoped_acquire lock;
    try {
      const nb::object answer = function();
      return !answer.is(nb::handle(Py_False));
    } catch (nb::python_error& error) {
      keep(std::move(error));
      return false;
    }
  }

  /// Throws the exception of Python that stopped the call, if there is one.
  void rethrow() {
    if (error_) throw nb::python_error(std::move(*error_));
  }

 private:
  void keep(nb::python_error&& error) {
    if (!error_) error_.emplace(std::move(error));
    stopped_ = true;
  }

  using Clock = std::chrono::steady_clock;
  std::thread::id caller_ = std::this_thread::get_id();
  Clock::time_point next_ = Clock::now();
  std::atomic<bool> stopped_{false};
  std::optional<nb::python_error> error_;
};

/// Runs `work` without the global lock. An exception of Python that stopped it is thrown in place
/// of Cancelled.
template <class F>
auto call_unlocked(Interrupts& interrupts, F&& work) {
  try {
    const nb::gil_scoped_release unlocked;
    return work();
  } catch (const Cancelled&) {
    interrupts.rethrow();
    throw;
  }
}

/// The same, and Ctrl-C stops it in its middle.
template <class F>
auto call_interruptible(Interrupts& interrupts, F&& work) {
  return call_unlocked(interrupts, [&] {
    const CancellationScope scope([&] { return interrupts.should_stop(); });
    return work();
  });
}
template <class F>
auto call_interruptible(F&& work) {
  Interrupts interrupts;
  return call_interruptible(interrupts, work);
}

}  // namespace rae::python
