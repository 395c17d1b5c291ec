// Ctrl-C: the first stops the program cleanly, the second ends it at once.
#pragma once

namespace rae::tool {

/// From now on SIGINT, SIGTERM and SIGHUP set a flag; signals that were ignored stay ignored.
void watch_for_interrupts();

/// True after such a signal; the callbacks of long computations then return false.
[[nodiscard]] bool interrupted() noexcept;

/// Throws Cancelled after such a signal.
void stop_if_interrupted();

}  // namespace rae::tool
