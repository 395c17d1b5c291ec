// `rae evaluate A B`: measures between two sets of pictures.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rae/core/shape.hpp"

namespace rae::tool {

/// What is compared and how.
struct Comparison {
  std::string pictures, reference;  ///< A and B
  std::string
      features;  ///< builtin, inception, or a path; empty: inception with weights, else builtin
  std::string models_dir;            ///< where the files of an official configuration are
  std::string inception_weights;     ///< a file of weights
  std::vector<std::string> metrics;  ///< names; empty: those that apply
  bool paired = false;               ///< picture i of A belongs to picture i of B
  index_t neighbours = 3;            ///< of precision and recall
  std::string out;                   ///< a JSON file; empty: none
};

/// Measures, prints a table and writes the file. Throws UsageError, Cancelled, and what reading and
/// measuring throw.
void compare(const Comparison& comparison);

/// Names of all measures, for the help.
[[nodiscard]] std::string metric_names();

}  // namespace rae::tool
