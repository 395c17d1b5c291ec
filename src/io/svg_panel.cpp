#include "io/svg_panel.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "io/base64.hpp"
#include "io/plot_axis.hpp"
#include "io/svg_text.hpp"

namespace rae::detail {
namespace {

constexpr double kFont = 12, kTitleFont = 13;
constexpr std::size_t kMostMarked = 60;  // points of a line that are marked

std::string attribute(const char* name, double value) {
  return std::string(" ") + name + "=\"" + pixels(value) + "\"";
}

std::string svg_line(const char* kind, double x1, double y1, double x2, double y2) {
  return std::string("<line class=\"") + kind + "\"" + attribute("x1", x1) + attribute("y1", y1) +
         attribute("x2", x2) + attribute("y2", y2) + "/>\n";
}

/// A point at (x, y) with the words that browsers show for it.
std::string svg_point(double x, double y, PlotStyle style, const std::string& words) {
  std::string out;
  const std::string color = " class=\"plot-c" + std::to_string(style.color) + " plot-point\"";
  if (style.shape == 0) {
    out = "<circle" + color + attribute("cx", x) + attribute("cy", y) + " r=\"3\"";
  } else {
    const char* path = style.shape == 1   ? "h5.4v5.4h-5.4z"
                       : style.shape == 2 ? "l3.6 6.4h-7.2z"
                                          : "l3.8 3.8l-3.8 3.8l-3.8 -3.8z";
    const double dx = style.shape == 1 ? -2.7 : 0, dy = style.shape == 1 ? -2.7 : -3.8;
    out = "<path" + color + " d=\"M" + pixels(x + dx) + " " + pixels(y + dy) + path + "\"";
  }
  if (words.empty()) return out + "/>\n";
  return out + "><title>" + escape_xml(words) + "</title></" +
         (style.shape == 0 ? "circle" : "path") + ">\n";
}

struct PlotPosition {
  double x = 0, y = 0;
};

/// Draws the series of a panel inside the frame.
class SeriesWriter {
 public:
  SeriesWriter(const PlotPanel& panel, const PlotRange& x, const PlotRange& y, const PlotBox& frame)
      : panel_(panel), x_(x), y_(y), frame_(frame) {}

  std::string write(const PlotSeries& series, PlotStyle style) {
    series_ = &series;
    style_ = style;
    out_.clear();
    if (!series.low.empty() && series.band) bands();
    if (series.mark != PlotMark::points) lines();
    if (!series.low.empty() && !series.band) bars();
    const bool few = series.x.size() <= kMostMarked;
    if (series.mark == PlotMark::points || (series.mark == PlotMark::line_and_points && few))
      points();
    return out_;
  }

 private:
  [[nodiscard]] double px(double x) const { return frame_.left + x_.position(x) * frame_.width; }
  [[nodiscard]] double py(double y) const {
    return frame_.top + (1 - y_.position(y)) * frame_.height;
  }
  [[nodiscard]] bool shown(std::size_t i) const {
    return can_be_shown(series_->x[i], panel_.x.scale) &&
           can_be_shown(series_->y[i], panel_.y.scale);
  }
  [[nodiscard]] bool inside(double x, double y) const {
    constexpr double kRounding = 1e-6;
    return x >= frame_.left - kRounding && x <= frame_.left + frame_.width + kRounding &&
           y >= frame_.top - kRounding && y <= frame_.top + frame_.height + kRounding;
  }
  [[nodiscard]] double clamped(double y) const {
    return std::clamp(y, frame_.top, frame_.top + frame_.height);
  }
  /// The height of an end of the spread; the bottom of the frame for a value that has none.
  [[nodiscard]] double end_of(double value) const {
    if (can_be_shown(value, panel_.y.scale)) return clamped(py(value));
    return frame_.top + (value > 0 ? 0 : frame_.height);
  }
  [[nodiscard]] std::string color(const char* kind) const {
    return " class=\"plot-c" + std::to_string(style_.color) + " " + kind + "\"";
  }

  /// The part of the segment that is inside the frame (Liang and Barsky 1984); false for none.
  bool clip(PlotPosition& a, PlotPosition& b) const {
    const double dx = b.x - a.x, dy = b.y - a.y;
    double from = 0, to = 1;
    const auto edge = [&](double direction, double distance) {
      if (direction == 0) return distance >= 0;
      const double at = distance / direction;
      if (direction < 0)
        from = std::max(from, at);
      else
        to = std::min(to, at);
      return from <= to;
    };
    if (!edge(-dx, a.x - frame_.left) || !edge(dx, frame_.left + frame_.width - a.x) ||
        !edge(-dy, a.y - frame_.top) || !edge(dy, frame_.top + frame_.height - a.y))
      return false;
    const PlotPosition start = a;
    if (from > 0) a = {start.x + from * dx, start.y + from * dy};
    if (to < 1) b = {start.x + to * dx, start.y + to * dy};
    return true;
  }

  void lines() {
    std::string path;
    std::size_t count = 0;  // points of `path`
    PlotPosition end;
    const auto finish = [&] {
      if (count > 1)
        out_ += "<polyline" + color(series_->dashed ? "plot-line plot-dashed" : "plot-line") +
                " points=\"" + path + "\"/>\n";
      path.clear();
      count = 0;
    };
    const auto append = [&](PlotPosition p) {
      path += (count++ == 0 ? "" : " ") + pixels(p.x) + "," + pixels(p.y);
      end = p;
    };
    for (std::size_t i = 0; i + 1 < series_->x.size(); ++i) {
      if (!shown(i) || !shown(i + 1)) {
        finish();
        continue;
      }
      PlotPosition a{px(series_->x[i]), py(series_->y[i])},
          b{px(series_->x[i + 1]), py(series_->y[i + 1])};
      if (!clip(a, b)) {
        finish();
        continue;
      }
      if (count == 0 || end.x != a.x || end.y != a.y) {
        finish();
        append(a);
      }
      append(b);
    }
    finish();
  }

  void bars() {
    for (std::size_t i = 0; i < series_->x.size(); ++i) {
      if (!shown(i) || std::isnan(series_->low[i]) || std::isnan(series_->high[i])) continue;
      const double x = px(series_->x[i]);
      if (x < frame_.left || x > frame_.left + frame_.width) continue;
      const double low = end_of(series_->low[i]), high = end_of(series_->high[i]);
      out_ += "<path" + color("plot-bar") + " d=\"M" + pixels(x - 3) + " " + pixels(low) +
              "h6m-3 0V" + pixels(high) + "m-3 0h6\"/>\n";
    }
  }

  void bands() {
    std::string upper, lower;
    std::size_t count = 0;
    const auto finish = [&] {
      if (count > 1) out_ += "<path" + color("plot-band") + " d=\"" + upper + lower + "z\"/>\n";
      upper.clear();
      lower.clear();
      count = 0;
    };
    for (std::size_t i = 0; i < series_->x.size(); ++i) {
      const bool drawn = shown(i) && !std::isnan(series_->low[i]) && !std::isnan(series_->high[i]);
      if (!drawn) {
        finish();
        continue;
      }
      const double x = std::clamp(px(series_->x[i]), frame_.left, frame_.left + frame_.width);
      upper += (count++ == 0 ? "M" : "L") + pixels(x) + " " + pixels(end_of(series_->high[i]));
      lower = "L" + pixels(x) + " " + pixels(end_of(series_->low[i])) + lower;
    }
    finish();
  }

  void points() {
    for (std::size_t i = 0; i < series_->x.size(); ++i) {
      if (!shown(i)) continue;
      const double x = px(series_->x[i]), y = py(series_->y[i]);
      if (!inside(x, y)) continue;
      const std::string values = short_number(series_->x[i]) + ": " + short_number(series_->y[i]);
      out_ +=
          svg_point(x, y, style_, series_->name.empty() ? values : series_->name + ", " + values);
      if (!series_->labels.empty()) label(x, y, series_->labels[i]);
    }
  }

  /// Writes a label beside the point: to the right, left, above or below, where there is room.
  void label(double x, double y, const std::string& words) {
    if (words.empty()) return;
    const double width = text_width(words, 11), height = 13;
    const PlotBox boxes[] = {{x + 6, y - height / 2, width, height},
                             {x - 6 - width, y - height / 2, width, height},
                             {x - width / 2, y - 6 - height, width, height},
                             {x - width / 2, y + 6, width, height}};
    const auto fits = [&](const PlotBox& box) {
      return inside(box.left, box.top) && inside(box.left + box.width, box.top + box.height) &&
             std::none_of(labels_.begin(), labels_.end(), [&](const PlotBox& other) {
               return box.left < other.left + other.width && other.left < box.left + box.width &&
                      box.top < other.top + other.height && other.top < box.top + box.height;
             });
    };
    const PlotBox* chosen = std::find_if(std::begin(boxes), std::end(boxes), fits);
    if (chosen == std::end(boxes)) chosen = &boxes[0];
    labels_.push_back(*chosen);
    out_ += svg_words(chosen->left, chosen->top + 10, words, "plot-soft", "start", 11);
  }

  const PlotPanel& panel_;
  const PlotRange &x_, &y_;
  const PlotBox frame_;
  const PlotSeries* series_ = nullptr;
  PlotStyle style_;
  std::string out_;
  std::vector<PlotBox> labels_;
};

void require_lengths(const PlotSeries& series, const std::string& where) {
  const std::size_t n = series.x.size();
  const auto check = [&](const char* name, std::size_t got, bool may_be_empty) {
    if (got != n && !(may_be_empty && got == 0))
      raise<ArgumentError>(where, ", series '", series.name, "': expected ", n, " values of ", name,
                           ", as of x, got ", got);
  };
  check("y", series.y.size(), false);
  check("low", series.low.size(), series.high.empty());
  check("high", series.high.size(), series.low.empty());
  check("labels", series.labels.size(), true);
}

/// All values of an axis that decide its range.
std::vector<double> values_of(const PlotPanel& panel, bool horizontal) {
  std::vector<double> out;
  for (const PlotSeries& series : panel.series)
    for (std::size_t i = 0; i < series.x.size(); ++i) {
      if (!can_be_shown(series.x[i], panel.x.scale) || !can_be_shown(series.y[i], panel.y.scale))
        continue;
      out.push_back(horizontal ? series.x[i] : series.y[i]);
      if (horizontal || series.low.empty()) continue;
      out.push_back(series.low[i]);
      out.push_back(series.high[i]);
    }
  return out;
}

/// The picture of a panel, as large as fits, enlarged by a whole number where it is smaller.
std::string svg_picture(const Image& picture, const PlotBox& box, const std::string& title) {
  const double width = static_cast<double>(picture.width()),
               height = static_cast<double>(picture.height());
  double scale = std::min(box.width / width, box.height / height);
  if (scale > 1) scale = std::floor(scale);
  return "<image class=\"plot-picture\"" +
         attribute("x", box.left + (box.width - scale * width) / 2) + attribute("y", box.top) +
         attribute("width", scale * width) + attribute("height", scale * height) +
         " aria-label=\"" + escape_xml(title) + "\" href=\"data:image/png;base64," +
         base64(picture.encode_png()) + "\"/>\n";
}

}  // namespace

std::string pixels(double value) {
  char text[40];
  const double rounded = std::round(std::clamp(value, -1e6, 1e6) * 100) / 100;
  const auto end = std::to_chars(text, text + sizeof text, rounded == 0 ? 0.0 : rounded);
  return {text, end.ptr};
}

std::string svg_words(double x, double y, const std::string& words, const char* kind,
                      const char* anchor, double size) {
  std::string out = std::string("<text class=\"") + kind + "\"" + attribute("x", x) +
                    attribute("y", y) + attribute("font-size", size);
  if (std::string_view(anchor) != "start") out += std::string(" text-anchor=\"") + anchor + "\"";
  return out + ">" + escape_xml(words) + "</text>\n";
}

std::string svg_key(double x, double y, PlotStyle style, bool line, bool point, bool dashed) {
  std::string out;
  const std::string kind =
      "plot-c" + std::to_string(style.color) + " plot-line" + (dashed ? " plot-dashed" : "");
  if (line) out += svg_line(kind.c_str(), x, y, x + 22, y);
  if (point) out += svg_point(x + 11, y, style, "");
  return out;
}

std::string svg_panel(const PlotPanel& panel, const PlotBox& box,
                      const std::vector<PlotStyle>& styles, const std::string& where) {
  for (const PlotSeries& series : panel.series) require_lengths(series, where);
  std::string out = "<g>\n";
  double top = box.top;
  for (const std::string& line : text_lines(panel.title, kTitleFont, box.width - 8)) {
    out += svg_words(box.left + box.width / 2, top + 13, line, "plot-text", "middle", kTitleFont);
    top += 17;
  }
  top += 4;
  if (!panel.picture.empty())
    return out +
           svg_picture(panel.picture,
                       {box.left, top, box.width, std::max(1.0, box.top + box.height - top)},
                       panel.title) +
           "</g>\n";

  const PlotRange x(panel.x, values_of(panel, true), 0.03, where + ", x axis"),
      y(panel.y, values_of(panel, false), 0.05, where + ", y axis");
  const double bottom = box.top + box.height - 20 - (panel.x.label.empty() ? 0 : 18);
  PlotBox frame{0, top + 4, 0, std::max(1.0, bottom - top - 4)};
  const auto y_ticks = labelled_ticks(
      panel.y, y, std::clamp<index_t>(static_cast<index_t>(frame.height / 36), 2, 8));
  double widest = 0;
  for (const auto& [value, label] : y_ticks) widest = std::max(widest, text_width(label, kFont));
  frame.left = box.left + std::ceil(widest) + 8 + (panel.y.label.empty() ? 0 : 18);
  frame.width = std::max(1.0, box.left + box.width - 14 - frame.left);

  for (const auto& [value, label] : y_ticks) {
    const double at = frame.top + (1 - y.position(value)) * frame.height;
    out += svg_line("plot-grid", frame.left, at, frame.left + frame.width, at);
    out += svg_words(frame.left - 6, at + 4, label, "plot-soft", "end");
  }
  double end_of_label = -std::numeric_limits<double>::infinity();
  for (const auto& [value, label] : labelled_ticks(
           panel.x, x, std::clamp<index_t>(static_cast<index_t>(frame.width / 64), 2, 10))) {
    const double at = frame.left + x.position(value) * frame.width,
                 half = text_width(label, kFont) / 2;
    out += svg_line("plot-grid", at, frame.top, at, frame.top + frame.height);
    if (at - half < end_of_label + 4) continue;  // would touch the label before
    end_of_label = at + half;
    out += svg_words(at, frame.top + frame.height + 16, label, "plot-soft", "middle");
  }
  out += "<rect class=\"plot-frame\"" + attribute("x", frame.left) + attribute("y", frame.top) +
         attribute("width", frame.width) + attribute("height", frame.height) + "/>\n";
  if (!panel.x.label.empty())
    out += svg_words(frame.left + frame.width / 2, frame.top + frame.height + 34, panel.x.label,
                     "plot-text", "middle");
  if (!panel.y.label.empty())
    out += "<g transform=\"translate(" + pixels(box.left + 12) + " " +
           pixels(frame.top + frame.height / 2) + ") rotate(-90)\">" +
           svg_words(0, 0, panel.y.label, "plot-text", "middle") + "</g>\n";

  SeriesWriter writer(panel, x, y, frame);
  bool any = false;
  for (std::size_t i = 0; i < panel.series.size(); ++i) {
    const std::string drawn = writer.write(panel.series[i], styles[i]);
    any = any || !drawn.empty();
    out += drawn;
  }
  if (!any)
    out += svg_words(frame.left + frame.width / 2, frame.top + frame.height / 2, "no data",
                     "plot-soft", "middle");
  return out + "</g>\n";
}

}  // namespace rae::detail
