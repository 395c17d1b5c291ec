// One panel of a plot as SVG elements.
#pragma once

#include <string>

#include "rae/io/svg_plot.hpp"

namespace rae::detail {

/// A rectangle of the document, in pixels.
struct PlotBox {
  double left = 0, top = 0, width = 0, height = 0;
};

/// The look that distinguishes a series from the others: its colour and the shape of its points.
struct PlotStyle {
  std::size_t color = 0;  ///< number of the class "plot-cN"
  std::size_t shape = 0;  ///< circle, square, triangle, diamond
};
inline constexpr std::size_t kPlotColors = 7, kPlotShapes = 4;

/// The style of the series with this number.
[[nodiscard]] constexpr PlotStyle plot_style(std::size_t number) noexcept {
  return {number % kPlotColors, number % kPlotShapes};
}

/// A number of pixels, with at most two digits after the point.
[[nodiscard]] std::string pixels(double value);

/// A word of a plot at (x, y), which is its baseline. `anchor` is "start", "middle" or "end".
[[nodiscard]] std::string svg_words(double x, double y, const std::string& words,
                                    const char* kind = "plot-soft", const char* anchor = "start",
                                    double size = 12);

/// The line (if `line`) and point (if `point`) of a series around (x, y), for legends.
[[nodiscard]] std::string svg_key(double x, double y, PlotStyle style, bool line, bool point,
                                  bool dashed);

/// The panel in `box`. styles[i] belongs to series i; `where` names the panel in messages. Throws
/// ArgumentError as `svg_plot`.
[[nodiscard]] std::string svg_panel(const PlotPanel& panel, const PlotBox& box,
                                    const std::vector<PlotStyle>& styles, const std::string& where);

}  // namespace rae::detail
