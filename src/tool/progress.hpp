// The progress of a command: a bar with the estimated remaining time on a terminal, and a line from
// time to time where stderr goes to a file.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "rae/core/function.hpp"
#include "rae/core/shape.hpp"

namespace rae::tool {

/// Where the progress is shown, and the clock.
struct ProgressSink {
  using Clock = std::chrono::steady_clock;

  Function<Clock::time_point()> now;
  Function<void(std::string_view)> write;
  bool terminal = false;
  Clock::duration between_lines = std::chrono::seconds(30);  ///< where this is no terminal
};

/// stderr, with the environment's RAE_PROGRESS_SECONDS between lines: 30 if it is not a whole
/// number; 0 writes every line.
[[nodiscard]] ProgressSink stderr_progress();

/// On a terminal draws "label [####....] 52%  26/50  detail  ETA 0:12", at most ten times a second,
/// and erases it at the end. Otherwise writes "label  26/50  detail  ETA 0:12" every 30 seconds, so
/// a command that takes less writes nothing.
class ProgressBar {
 public:
  explicit ProgressBar(std::string label, ProgressSink sink = stderr_progress());
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar() { clear(); }

  /// Shows `done` of `total`. A negative `eta_seconds` is replaced by an estimate from the time
  /// since the first update of the phase.
  void update(double done, double total, std::string_view detail = {}, double eta_seconds = -1);

  /// Starts the next phase with a new label; restarts the clock. `announced`: without a terminal,
  /// the phase also has a line at its beginning and at its end.
  void begin(std::string label, bool announced = false);

  /// Shows the state of the last `update` again, for phases that cannot say how far they are.
  void tick();

  /// Erases the line.
  void clear();

  /// Seconds since construction or the last call of `begin`.
  [[nodiscard]] double seconds() const;

 private:
  void write_line(std::string_view detail, double eta_seconds);

  ProgressSink sink_;
  std::string label_, detail_;
  ProgressSink::Clock::time_point begin_, first_{}, last_drawn_{}, last_line_;
  double first_done_ = -1;  // `done` of the phase's first update, at the time `first_`
  bool announced_ = false, drawn_ = false;
  double written_ = -1;  // `done` of the last line of this phase
};

/// Progress of work on pictures, of which some were finished by an earlier run.
class PictureProgress {
 public:
  /// `before` of `total` pictures are finished already.
  PictureProgress(std::string label, index_t before, index_t total);

  /// Shows that `done` pictures are finished, those of `before` included.
  void operator()(double done);

  /// Shows that of pictures [first, first + count), which are computed at once, `step` of `steps`
  /// steps are done; all before are finished.
  void at_step(index_t first, index_t count, index_t step, index_t steps) {
    (*this)(static_cast<double>(first) +
            static_cast<double>(count) * static_cast<double>(step) / static_cast<double>(steps));
  }

  /// Erases the line.
  void clear() { bar_.clear(); }

 private:
  ProgressBar bar_;
  double before_, total_;
};

/// True if stderr is a terminal.
[[nodiscard]] bool stderr_is_terminal();

/// The line that the bar draws, at most `width` columns.
[[nodiscard]] std::string progress_line(std::string_view label, double done, double total,
                                        std::string_view detail, double eta_seconds,
                                        std::size_t width);

}  // namespace rae::tool
