// `rae evaluate A B`: compares two sets of pictures.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "rae/core/shape.hpp"

namespace rae::tool {

/// The two sets and the settings of a comparison.
struct Comparison {
  std::string pictures, reference;   ///< paths of A and B
  std::string features;              ///< inception, or a model as in `model_path`; empty: inception
                                     ///< with weights, else the default model
  std::string models_dir;            ///< folder with the files of an official configuration
  std::string inception_weights;     ///< a file of weights
  std::vector<std::string> metrics;  ///< names; empty: those that apply
  bool paired = false;               ///< picture i of A belongs to picture i of B
  bool ignore_exif = false;          ///< read pictures as they are stored
  index_t neighbours = 3;            ///< k of precision and recall
  std::string out;                   ///< a JSON file; empty: none
  std::function<void(const std::string&)> print{};  ///< receives the lines of the table
};

/// Computes the metrics, passes the lines of a table to `print` and writes the file. Throws
/// UsageError, Cancelled, and the errors of the readers and the metrics.
void compare(const Comparison& comparison);

/// Names of all metrics, for the help.
[[nodiscard]] std::string metric_names();

}  // namespace rae::tool
