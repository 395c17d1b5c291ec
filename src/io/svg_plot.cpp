#include "rae/io/svg_plot.hpp"

#include <algorithm>
#include <map>

#include "io/svg_panel.hpp"
#include "io/svg_text.hpp"

namespace rae {
namespace {

constexpr double kMargin = 12, kGap = 20, kHeadingFont = 16;
constexpr index_t kMostPanels = 64, kMostPixels = 4096;

// Each colour on white, and on dark grey.
constexpr std::string_view kStyle = R"css(<style>
.plot-back{fill:#fff}.plot-text{fill:#1c2024}.plot-soft{fill:#5b5f67}
.plot-grid{stroke:#e2e2e8;stroke-width:1}.plot-frame{stroke:#8b8d98;stroke-width:1;fill:none}
.plot-line,.plot-bar{fill:none;stroke:currentColor;stroke-width:1.8;stroke-linejoin:round}
.plot-bar{stroke-width:1.2}.plot-dashed{stroke-dasharray:6 4}
.plot-band{fill:currentColor;fill-opacity:.2;stroke:none}.plot-point{fill:currentColor;stroke:none}
.plot-picture{image-rendering:pixelated}
.plot-c0{color:#0072b2}.plot-c1{color:#d55e00}.plot-c2{color:#00835f}.plot-c3{color:#b3548c}
.plot-c4{color:#9a6a00}.plot-c5{color:#3d8fc4}.plot-c6{color:#5a5a5a}
@media screen and (prefers-color-scheme:dark){
.plot-back{fill:#16181c}.plot-text{fill:#edeef0}.plot-soft{fill:#a8acb4}
.plot-grid{stroke:#33363c}.plot-frame{stroke:#777b84}
.plot-c0{color:#5cb3f0}.plot-c1{color:#ff9d5c}.plot-c2{color:#3ccf9f}.plot-c3{color:#e69acb}
.plot-c4{color:#f0c040}.plot-c5{color:#9ad4ff}.plot-c6{color:#c8c8c8}}
</style>
)css";

/// One entry of the legend.
struct LegendEntry {
  std::string name;
  detail::PlotStyle style;
  bool line, point, dashed;
};

/// The styles of all series of all panels, and the legend.
struct PlotStyles {
  std::vector<std::vector<detail::PlotStyle>> of_panel{};
  std::vector<LegendEntry> legend{};
};

PlotStyles styles_of(const Plot& plot) {
  PlotStyles out;
  std::map<std::string, std::size_t> numbers;
  for (const PlotPanel& panel : plot.panels) {
    std::vector<detail::PlotStyle> styles;
    for (std::size_t i = 0; i < panel.series.size(); ++i) {
      const PlotSeries& series = panel.series[i];
      if (series.name.empty()) {
        styles.push_back(detail::plot_style(i));
        continue;
      }
      const auto [found, is_new] = numbers.try_emplace(series.name, numbers.size());
      styles.push_back(detail::plot_style(found->second));
      if (is_new)
        out.legend.push_back({series.name, styles.back(), series.mark != PlotMark::points,
                              series.mark != PlotMark::line, series.dashed});
    }
    out.of_panel.push_back(std::move(styles));
  }
  if (out.legend.size() < 2) out.legend.clear();
  return out;
}

/// Writes the legend from `top` on in rows of at most `width` pixels; returns its height.
double write_legend(const std::vector<LegendEntry>& legend, double top, double width,
                    std::string& out) {
  constexpr double kKey = 28, kSpace = 18, kRow = 20;
  double x = kMargin, y = top;
  for (const LegendEntry& entry : legend) {
    const double needed = kKey + detail::text_width(entry.name, 12);
    if (x > kMargin && x + needed > kMargin + width) {
      x = kMargin;
      y += kRow;
    }
    out += detail::svg_key(x, y + 9, entry.style, entry.line, entry.point, entry.dashed);
    out += detail::svg_words(x + kKey, y + 13, entry.name, "plot-text");
    x += needed + kSpace;
  }
  return legend.empty() ? 0 : y + kRow + 4 - top;
}

void require_sizes(const Plot& plot) {
  if (plot.title.empty()) raise<ArgumentError>("svg_plot: the plot has no title");
  if (plot.panels.empty() || static_cast<index_t>(plot.panels.size()) > kMostPanels)
    raise<ArgumentError>("svg_plot: expected 1 to ", kMostPanels, " panels, got ",
                         plot.panels.size());
  if (plot.columns < 1) raise<ArgumentError>("svg_plot: expected columns >= 1, got ", plot.columns);
  if (plot.panel_width < 160 || plot.panel_height < 120 || plot.panel_width > kMostPixels ||
      plot.panel_height > kMostPixels)
    raise<ArgumentError>("svg_plot: expected panels of 160 x 120 to ", kMostPixels, " x ",
                         kMostPixels, " pixels, got ", plot.panel_width, " x ", plot.panel_height);
}

}  // namespace

std::string svg_plot(const Plot& plot) {
  require_sizes(plot);
  const std::size_t columns = std::min(static_cast<std::size_t>(plot.columns), plot.panels.size());
  const double panel_width = static_cast<double>(plot.panel_width),
               panel_height = static_cast<double>(plot.panel_height),
               inner = static_cast<double>(columns) * (panel_width + kGap) - kGap;
  const PlotStyles styles = styles_of(plot);

  std::string body;
  double top = kMargin;
  if (plot.heading) {
    for (const std::string& line : detail::text_lines(plot.title, kHeadingFont, inner)) {
      body += detail::svg_words(kMargin, top + 15, line, "plot-text", "start", kHeadingFont);
      top += 21;
    }
    top += 6;
  }
  top += write_legend(styles.legend, top, inner, body);
  for (std::size_t i = 0; i < plot.panels.size(); ++i) {
    const double column = static_cast<double>(i % columns), row = static_cast<double>(i / columns);
    body += detail::svg_panel(plot.panels[i],
                              {kMargin + column * (panel_width + kGap),
                               top + row * (panel_height + kGap), panel_width, panel_height},
                              styles.of_panel[i], concat("svg_plot: panel ", i));
  }
  const std::size_t rows = (plot.panels.size() + columns - 1) / columns;
  const double width = inner + 2 * kMargin,
               height = top + static_cast<double>(rows) * (panel_height + kGap) - kGap + kMargin;

  const std::string title = detail::escape_xml(plot.title), w = detail::pixels(width),
                    h = detail::pixels(height);
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + w + "\" height=\"" + h +
                    "\" viewBox=\"0 0 " + w + " " + h + "\" role=\"img\" aria-label=\"" + title +
                    "\" font-family=\"system-ui, sans-serif\">\n<title>" + title + "</title>\n";
  if (!plot.description.empty())
    out += "<desc>" + detail::escape_xml(plot.description) + "</desc>\n";
  out += kStyle;
  out += "<rect class=\"plot-back\" width=\"" + w + "\" height=\"" + h + "\"/>\n";
  return out + body + "</svg>\n";
}

}  // namespace rae
