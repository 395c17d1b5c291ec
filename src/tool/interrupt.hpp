// Ctrl-C: the first stops the program cleanly, the second ends it at once.
#pragma once

#include <thread>

#include "rae/core/cancellation.hpp"
#include "tool/ranks.hpp"

namespace rae::tool {

/// From now on SIGINT, SIGTERM and SIGHUP set a flag; signals that were ignored stay ignored.
void watch_for_interrupts();

/// True after such a signal; the callbacks of long computations then return false.
[[nodiscard]] bool interrupted() noexcept;

/// Throws Cancelled after such a signal.
void stop_if_interrupted();

/// While an object lives, long computations of this thread throw Cancelled after such a signal,
/// wherever they are. For commands that would not react within a second otherwise, and where
/// nothing else than the computation is lost by it. Without effect with several ranks, which would
/// wait for each other; they stop between their pieces of work.
class InterruptScope {
 public:
  InterruptScope() : InterruptScope(nullptr) {}
  /// `on_question` is called often on this thread while it computes; it may be empty.
  explicit InterruptScope(Function<void()> on_question)
      : scope_([on_question, mine = std::this_thread::get_id()] {
          if (on_question && std::this_thread::get_id() == mine) on_question();
          return interrupted() && ranks().size() == 1;
        }) {}

 private:
  CancellationScope scope_;
};

}  // namespace rae::tool
