// Stopping a long computation in its middle, without a callback in every function that takes long.
//
// Parallel loops, products of matrices, the decoding of pictures and the metrics ask the innermost
// scope of their thread, and throw Cancelled when it says so. The threads of a loop ask the scope
// of the thread that started it.
#pragma once

#include "rae/config.hpp"
#include "rae/core/function.hpp"
#include "rae/core/parallel.hpp"

namespace rae {

/// While an object of this class lives, long computations of this thread throw Cancelled as soon as
/// its function returns true. What they were computing is then lost, but nothing else: they can be
/// started again. Scopes may be nested; only the innermost one is asked.
class CancellationScope {
 public:
  /// `should_stop` is called often, and by several threads at once. An empty function never stops,
  /// so that a part of a computation is completed whatever the scopes around it say.
  explicit CancellationScope(Function<bool()> should_stop);
  CancellationScope(const CancellationScope&) = delete;
  CancellationScope& operator=(const CancellationScope&) = delete;
  /// From here on the scope around this one is asked again. Call it on the thread that made it.
  ~CancellationScope();

  /// True when its function says so.
  [[nodiscard]] bool should_stop() const { return should_stop_ && should_stop_(); }

 private:
  Function<bool()> should_stop_;
  const CancellationScope* around_;
};

/// Throws Cancelled when the innermost scope of this thread says so. For computations that take
/// long without a parallel loop.
inline void stop_if_cancelled() {
  if (detail::library_is_linked()) detail::ask_cancellation();
}

}  // namespace rae
