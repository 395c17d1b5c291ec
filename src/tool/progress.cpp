// A progress bar with the estimated remaining time, shown only on a terminal.
#include "tool/progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

#include "tool/text.hpp"

namespace rae::tool {
namespace {

std::size_t terminal_width() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

bool stderr_is_terminal() { return ::isatty(STDERR_FILENO) == 1; }

std::string progress_line(std::string_view label, double done, double total,
                          std::string_view detail, double eta_seconds, std::size_t width) {
  constexpr std::size_t kLongestBar = 30, kShortestBar = 5;
  const double share = total > 0 ? std::clamp(done / total, 0.0, 1.0) : 0.0;
  char percent[16];
  std::snprintf(percent, sizeof percent, "%3d%%", static_cast<int>(100 * share));
  std::string after = std::string(" ") + percent;
  if (!detail.empty()) after += "  " + std::string(detail);
  after += "  ETA " + format_duration(eta_seconds);
  std::string line(label);
  const std::size_t used = label.size() + after.size() + 3;
  if (used + kShortestBar <= width) {
    const std::size_t cells = std::min(kLongestBar, width - used);
    const auto full = static_cast<std::size_t>(share * static_cast<double>(cells));
    line += " [" + std::string(full, '#') + std::string(cells - full, '.') + "]";
  }
  line += after;
  if (line.size() > width) line.resize(width);
  return line;
}

ProgressBar::ProgressBar(std::string label)
    : label_(std::move(label)), on_terminal_(stderr_is_terminal()) {}

double ProgressBar::seconds() const {
  return std::chrono::duration<double>(Clock::now() - begin_).count();
}

void ProgressBar::begin(std::string label) {
  label_ = std::move(label);
  begin_ = Clock::now();
  last_drawn_ = {};
}

void ProgressBar::update(double done, double total, std::string_view detail, double eta_seconds) {
  const auto now = Clock::now();
  if (!on_terminal_ ||
      (drawn_ && done < total && now - last_drawn_ < std::chrono::milliseconds(100)))
    return;
  last_drawn_ = now;
  if (eta_seconds < 0 && done > 0) eta_seconds = seconds() * (total - done) / done;
  // Three columns stay free: some terminals wrap after the last column, and Ctrl-C prints ^C.
  const std::string line = progress_line(label_, done, total, detail, eta_seconds,
                                         std::max<std::size_t>(terminal_width(), 4) - 3);
  std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void ProgressBar::clear() {
  if (!drawn_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

PictureProgress::PictureProgress(std::string label, index_t before, index_t total)
    : label_(std::move(label)),
      bar_(label_),
      before_(static_cast<double>(before)),
      total_(static_cast<double>(total)) {}

void PictureProgress::operator()(double done) {
  const double seconds = bar_.seconds(), made = done - before_,
               eta = made > 0 ? seconds * (total_ - done) / made : -1;
  const std::string detail =
      concat(static_cast<index_t>(done), "/", static_cast<index_t>(total_), "  ",
             format_rate(made / std::max(seconds, 1e-9)), " pictures/s");
  bar_.update(done, total_, detail, eta);
  if (stderr_is_terminal() || Clock::now() - last_line_ < std::chrono::seconds(30)) return;
  std::fprintf(stderr, "%s  %s  ETA %s\n", label_.c_str(), detail.c_str(),
               format_duration(eta).c_str());
  last_line_ = Clock::now();
}

}  // namespace rae::tool
