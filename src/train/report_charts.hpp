// The charts of a stage in a report: each number of its log over the steps.
#pragma once

#include <vector>

#include "rae/io/config.hpp"

namespace rae::detail {

/// One map for each chart, the losses first: "title", "last" (the last values, in words) and "svg".
/// `reports` are those of `read_training_log`.
[[nodiscard]] ConfigNode report_charts(const std::vector<ConfigNode>& reports);

}  // namespace rae::detail
