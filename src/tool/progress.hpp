// A progress bar with the estimated remaining time, shown only on a terminal.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "rae/core/shape.hpp"

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

/// Progress of work on pictures, of which some were finished by an earlier run: a bar on a
/// terminal, otherwise a line every 30 seconds.
class PictureProgress {
 public:
  /// `before` of `total` pictures are finished already.
  PictureProgress(std::string label, index_t before, index_t total);

  /// Shows that `done` pictures are finished, those of `before` included.
  void operator()(double done);

  /// Erases the line.
  void clear() { bar_.clear(); }

 private:
  using Clock = std::chrono::steady_clock;

  std::string label_;
  ProgressBar bar_;
  double before_, total_;
  Clock::time_point last_line_ = Clock::now();
};

/// True if stderr is a terminal.
[[nodiscard]] bool stderr_is_terminal();

/// The line that the bar draws, at most `width` columns.
[[nodiscard]] std::string progress_line(std::string_view label, double done, double total,
                                        std::string_view detail, double eta_seconds,
                                        std::size_t width);

}  // namespace rae::tool
