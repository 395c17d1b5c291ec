// The bar is redrawn in place; lines are only appended.
#include "tool/progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "rae/error.hpp"
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

ProgressSink stderr_progress() {
  constexpr int kLongest = 1'000'000;
  ProgressSink out{[] { return ProgressSink::Clock::now(); },
                   [](std::string_view text) {
                     std::fwrite(text.data(), 1, text.size(), stderr);
                     std::fflush(stderr);
                   },
                   stderr_is_terminal()};
  const char* const given = std::getenv("RAE_PROGRESS_SECONDS");
  const std::string_view text = given == nullptr ? "" : given;
  int seconds = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (!text.empty() && read.ec == std::errc() && read.ptr == text.data() + text.size() &&
      seconds >= 0 && seconds <= kLongest)
    out.between_lines = std::chrono::seconds(seconds);
  return out;
}

ProgressBar::ProgressBar(std::string label, ProgressSink sink)
    : sink_(std::move(sink)), label_(std::move(label)), begin_(sink_.now()), last_line_(begin_) {}

double ProgressBar::seconds() const {
  return std::chrono::duration<double>(sink_.now() - begin_).count();
}

void ProgressBar::begin(std::string label, bool announced) {
  label_ = std::move(label);
  detail_.clear();
  begin_ = sink_.now();
  first_done_ = -1;
  last_drawn_ = {};
  announced_ = announced;
  written_ = -1;
}

void ProgressBar::update(double done, double total, std::string_view detail, double eta_seconds) {
  const auto now = sink_.now();
  if (first_done_ < 0) {
    // An earlier run may have done a part of it, which took this run no time.
    first_done_ = done;
    first_ = done > 0 ? now : begin_;
  }
  if (eta_seconds < 0 && done > first_done_)
    eta_seconds =
        std::chrono::duration<double>(now - first_).count() * (total - done) / (done - first_done_);
  if (!sink_.terminal) {
    const bool edge = announced_ && (written_ < 0 || done >= total);
    detail_ = detail.empty() && total > 0
                  ? concat(static_cast<int>(100 * std::clamp(done / total, 0.0, 1.0)), "%")
                  : std::string(detail);
    if (written_ == done || (!edge && now - last_line_ < sink_.between_lines)) return;
    written_ = done;
    write_line(detail_, done < total ? eta_seconds : -1);
    return;
  }
  if (drawn_ && done < total && now - last_drawn_ < std::chrono::milliseconds(100)) return;
  last_drawn_ = now;
  // Three columns stay free: some terminals wrap after the last column, and Ctrl-C prints ^C.
  const std::string line = progress_line(label_, done, total, detail, eta_seconds,
                                         std::max<std::size_t>(terminal_width(), 4) - 3);
  sink_.write(concat("\r", line, "\x1b[K"));
  drawn_ = true;
}

void ProgressBar::write_line(std::string_view detail, double eta_seconds) {
  std::string line = label_;
  if (!detail.empty()) line += concat("  ", detail);
  if (eta_seconds >= 0) line += concat("  ETA ", format_duration(eta_seconds));
  sink_.write(line + "\n");
  last_line_ = sink_.now();
}

void ProgressBar::tick() {
  if (sink_.terminal || sink_.now() - last_line_ < sink_.between_lines) return;
  write_line(detail_.empty() ? format_duration(seconds()) : detail_, -1);
}

void ProgressBar::clear() {
  if (!drawn_) return;
  sink_.write("\r\x1b[K");
  drawn_ = false;
}

PictureProgress::PictureProgress(std::string label, index_t before, index_t total)
    : bar_(std::move(label)),
      before_(static_cast<double>(before)),
      total_(static_cast<double>(total)) {}

void PictureProgress::operator()(double done) {
  const double seconds = bar_.seconds(), made = done - before_,
               eta = made > 0 ? seconds * (total_ - done) / made : -1;
  bar_.update(done, total_,
              concat(static_cast<index_t>(done), "/", static_cast<index_t>(total_), "  ",
                     format_rate(made / std::max(seconds, 1e-9)), " pictures/s"),
              eta);
}

}  // namespace rae::tool
