// A progress bar with the estimated remaining time, shown only on a terminal.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace rae::tool {

/// Draws "label [####....] 52%  26/50  detail  ETA 0:12" on stderr, at most ten times a second, and
/// erases it at the end. Draws nothing if stderr is not a terminal.
class ProgressBar {
 public:
  explicit ProgressBar(std::string label);
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar() { clear(); }

  /// Shows `done` of `total`. A negative `eta_seconds` is replaced by an estimate from the elapsed
  /// time.
  void update(double done, double total, std::string_view detail = {}, double eta_seconds = -1);

  /// Starts the next phase with a new label; restarts the clock.
  void begin(std::string label);

  /// Erases the line.
  void clear();

  /// Seconds since construction or the last call of `begin`.
  [[nodiscard]] double seconds() const;

 private:
  using Clock = std::chrono::steady_clock;

  std::string label_;
  Clock::time_point begin_ = Clock::now(), last_drawn_{};
  bool on_terminal_ = false, drawn_ = false;
};

/// True if stderr is a terminal.
[[nodiscard]] bool stderr_is_terminal();

/// The line that the bar draws, at most `width` columns.
[[nodiscard]] std::string progress_line(std::string_view label, double done, double total,
                                        std::string_view detail, double eta_seconds,
                                        std::size_t width);

}  // namespace rae::tool
