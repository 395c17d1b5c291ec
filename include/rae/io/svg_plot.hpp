// Plots as SVG files: panels with axes, lines, points, error bars, bands and pictures.
//
// A file needs nothing else: browsers show it in light or dark colours, whichever the reader
// prefers, and it can be put into an HTML page as it is. The colours are those of Okabe and Ito
// ("Color Universal Design", 2008), which colour-blind readers can tell apart.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rae/io/image.hpp"

namespace rae {

/// How the numbers of an axis are spaced.
enum class PlotScale { linear, log };

/// One axis of a panel.
struct PlotAxis {
  std::string label{};                  ///< words beside the axis; may be empty
  PlotScale scale = PlotScale::linear;  ///< a log axis leaves out values that are not positive
  std::optional<double> low{}, high{};  ///< ends; absent: those of the data, with a margin
  std::vector<std::pair<double, std::string>> ticks{};  ///< empty: round values
};

/// How the values of a series are drawn.
enum class PlotMark { line, points, line_and_points };

/// Values of one kind. All lists have the length of `x`, or are empty where that is said. A value
/// that is not finite, or not below 1e200 in size, is left out and interrupts the line. Lines have
/// marks at their points up to 60 points.
struct PlotSeries {
  std::string name{};  ///< in the legend; empty: not there
  std::vector<double> x{}, y{};
  std::vector<double> low{}, high{};  ///< spread of `y`; both empty: none
  std::vector<std::string> labels{};  ///< beside the points; may be empty
  PlotMark mark = PlotMark::line_and_points;
  bool band = false;    ///< the spread is a shaded band instead of error bars
  bool dashed = false;  ///< a broken line, for bounds and references
};

/// A rectangle with axes and series, or with a picture.
struct PlotPanel {
  std::string title{};
  PlotAxis x{}, y{};
  std::vector<PlotSeries> series{};
  Image picture{};  ///< shown instead of axes and series when it has pixels, without smoothing
};

/// A figure of one or more panels. Series with the same name have the same colour in all panels,
/// and the legend above the panels lists each name once; a single name is not listed.
struct Plot {
  std::string title{};        ///< heading and accessible name; required
  std::string description{};  ///< accessible description: the plot in words
  std::vector<PlotPanel> panels{};
  index_t columns = 1;                            ///< panels side by side, at least 1
  index_t panel_width = 480, panel_height = 280;  ///< with labels, at least 160 x 120
  bool heading = true;                            ///< draw the title; false where a page shows it
};

/// The plot as an SVG document. A panel without a value that can be drawn says "no data". Throws
/// ArgumentError for lists of different lengths, ends of an axis that are not finite or not
/// ascending (or not positive on a log axis), no panels, no title, and sizes out of range.
[[nodiscard]] std::string svg_plot(const Plot& plot);

/// Round values inside [low, high], at most `most` (at least 2) of them: multiples of 1, 2 or 5
/// times a power of ten; on a log axis powers of ten, or those times 1, 2 and 5. Throws
/// ArgumentError as `svg_plot`.
[[nodiscard]] std::vector<double> plot_ticks(double low, double high, PlotScale scale,
                                             index_t most = 6);

}  // namespace rae
