// The range, ticks and numbers of an axis of a plot.
#pragma once

#include <string>
#include <vector>

#include "rae/io/svg_plot.hpp"

namespace rae::detail {

/// True for a value that an axis of this scale can show: finite, below 1e200 in size, and positive
/// (above 1e-200) on a log axis.
[[nodiscard]] bool can_be_shown(double value, PlotScale scale) noexcept;

/// The ends of an axis and the positions of values between them.
class PlotRange {
 public:
  /// The ends of `axis`; where it has none, those of `values` that can be shown with a margin of
  /// `margin` times their distance. Throws ArgumentError, which begins with `where`.
  PlotRange(const PlotAxis& axis, const std::vector<double>& values, double margin,
            const std::string& where);

  [[nodiscard]] double low() const noexcept { return low_; }
  [[nodiscard]] double high() const noexcept { return high_; }
  /// False when there are neither ends nor values.
  [[nodiscard]] bool known() const noexcept { return known_; }
  /// The position of a value that can be shown: 0 at the low end, 1 at the high end.
  [[nodiscard]] double position(double value) const noexcept;

 private:
  PlotScale scale_;
  double low_ = 0, high_ = 1;
  bool known_ = true;
};

/// Ticks with their labels: those of `axis` inside the range, or at most `most` round values.
[[nodiscard]] std::vector<std::pair<double, std::string>> labelled_ticks(const PlotAxis& axis,
                                                                         const PlotRange& range,
                                                                         index_t most);

/// A finite number with at most four significant digits: "0.0125", "1.5e7".
[[nodiscard]] std::string short_number(double value);

}  // namespace rae::detail
