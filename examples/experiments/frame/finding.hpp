// A finding: the claim, table, plot and conclusion of an experiment, as a section of findings.md.
#pragma once

#include <string>
#include <vector>

#include "frame/options.hpp"
#include "frame/points.hpp"
#include "rae/io/svg_plot.hpp"

namespace rae::experiments {

/// What an experiment found.
struct Finding {
  std::string title{};                           ///< heading of the section
  std::string claim{};                           ///< of the paper, with its figures
  std::string measured{};                        ///< what was measured, and how
  std::vector<std::string> header{};             ///< of the table
  std::vector<std::vector<std::string>> rows{};  ///< of the table, as long as the header
  std::string conclusion{};                      ///< what holds here and what does not
  Plot plot{};
};

/// Writes the plot to DOCS/images/findings/NAME.svg and the section to DOCS/findings.md, between
/// the lines "<!-- experiment: NAME -->" and "<!-- /experiment -->": in place of the section that
/// is there, else at the end. Text outside these lines stays as it is. Throws FileError,
/// FormatError for a section without an end.
void write_finding(const Options& options, const Finding& finding);

/// "0.0123 ± 0.0004", or "0.0123" for one result; three significant digits.
[[nodiscard]] std::string with_spread(const Spread& spread);

/// A number with three significant digits.
[[nodiscard]] std::string three_digits(double value);

/// "mean and standard deviation of 3 seeds", or "one seed".
[[nodiscard]] std::string seeds_in_words(index_t count);

/// Whether all results of one are less than all of the other, or neither.
enum class Compared { less, neither, more };
/// All results of `a` against all of `b`.
[[nodiscard]] Compared compare(const Spread& a, const Spread& b);

/// `text` in lines of at most 100 columns.
[[nodiscard]] std::string wrapped(const std::string& text);

}  // namespace rae::experiments
