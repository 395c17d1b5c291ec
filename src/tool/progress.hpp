// A progress bar with the expected time to the end, on a terminal only.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace rae::tool {

/// Draws "label [####....] 52%  26/50  detail  ETA 0:12" on stderr, at most ten times a second, and
/// wipes it at the end. Where stderr is no terminal it draws nothing.
class ProgressBar {
 public:
  explicit ProgressBar(std::string label);
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar() { clear(); }

  /// Shows `done` of `total`. A negative `eta_seconds` is replaced by an estimate from the time
  /// that has passed.
  void update(double done, double total, std::string_view detail = {}, double eta_seconds = -1);

  /// Another name for what goes on, with a clock of its own.
  void begin(std::string label);

  /// Wipes the line.
  void clear();

  /// Seconds since the label was set.
  [[nodiscard]] double seconds() const;

 private:
  using Clock = std::chrono::steady_clock;

  std::string label_;
  Clock::time_point begin_ = Clock::now(), last_drawn_{};
  bool on_terminal_ = false, drawn_ = false;
};

/// True when stderr is a terminal.
[[nodiscard]] bool stderr_is_terminal();

/// The line that the bar draws, `width` columns at most.
[[nodiscard]] std::string progress_line(std::string_view label, double done, double total,
                                        std::string_view detail, double eta_seconds,
                                        std::size_t width);

}  // namespace rae::tool
