// The points of an experiment: each is measured once and stored, so that an experiment that was
// interrupted continues after its last point.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "frame/options.hpp"
#include "rae/io/config.hpp"

namespace rae::experiments {

/// One measurement.
struct Point {
  ConfigNode at{};                   ///< map of its settings, which no other point has
  double cost = 1;                   ///< relative to other points, for the expected time
  Function<ConfigNode()> measure{};  ///< returns a map of numbers, whose keys are not in `at`
};

/// The results of all points in order, each with the settings and numbers of the point. Points that
/// are stored in OUT/points.json are not measured again; each new one is stored at once. Prints a
/// line for each new point, with the time left. Writes OUT/NAME.csv at the end. `settings` is
/// everything else that decides the results. Throws ConfigError if the stored points have other
/// settings, FileError, and Cancelled after `options.points` new points if others are left.
[[nodiscard]] std::vector<ConfigNode> measure_points(const Options& options,
                                                     const ConfigNode& settings,
                                                     const std::vector<Point>& points);

/// The results that have all these values.
[[nodiscard]] std::vector<ConfigNode> results_at(const std::vector<ConfigNode>& results,
                                                 const ConfigNode::Map& values);

/// Mean and spread of a number over results, which are usually those of several seeds.
struct Spread {
  double mean = 0, low = 0, high = 0;  ///< NaN without results
  double deviation = 0;                ///< standard deviation (n - 1); 0 for one result
  index_t count = 0;
};

/// The spread of the number `key`.
[[nodiscard]] Spread spread_of(const std::vector<ConfigNode>& results, const std::string& key);

}  // namespace rae::experiments
