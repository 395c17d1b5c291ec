// Ctrl-C: the first asks the work to stop in good order, the second ends the program at once.
#pragma once

namespace rae::tool {

/// From now on SIGINT, SIGTERM and SIGHUP set a flag; signals that were ignored stay ignored.
void watch_for_interrupts();

/// True after such a signal. Callbacks of long work return false then.
[[nodiscard]] bool interrupted() noexcept;

/// Throws Cancelled after such a signal.
void stop_if_interrupted();

}  // namespace rae::tool
