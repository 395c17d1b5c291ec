// log.jsonl of a stage: one line of JSON for each report.
#pragma once

#include <string>

#include "rae/io/config.hpp"

namespace rae::detail {

/// Appends a line to log.jsonl in a folder, whole. Throws FileError.
void append_log(const std::string& folder, const ConfigNode& line);

}  // namespace rae::detail
