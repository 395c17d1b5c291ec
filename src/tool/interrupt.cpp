// Ctrl-C: the first stops the program cleanly, the second ends it at once.
#include "tool/interrupt.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>

#include "rae/error.hpp"

namespace rae::tool {
namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};

std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

extern "C" void on_signal(int) {
  const int saved = errno;
  stop_requested = true;
  for (const int number : kSignals) std::signal(number, SIG_DFL);  // the next one ends the program
  if (::isatty(STDERR_FILENO) == 1) {
    constexpr char kMessage[] = "\r\x1b[Kstopping; press Ctrl-C again to end at once\n";
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
  }
  errno = saved;
}

}  // namespace

void watch_for_interrupts() {
  for (const int number : kSignals) {
    struct sigaction old {};
    if (::sigaction(number, nullptr, &old) == 0 && old.sa_handler == SIG_IGN) continue;
    struct sigaction action {};
    action.sa_handler = on_signal;
    ::sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    ::sigaction(number, &action, nullptr);
  }
}

bool interrupted() noexcept { return stop_requested; }

void stop_if_interrupted() {
  if (interrupted()) raise<Cancelled>("interrupted");
}

}  // namespace rae::tool
