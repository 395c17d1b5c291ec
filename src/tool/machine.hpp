// Compiler, processor and load, which are reported with measurements.
#pragma once

#include <string>

namespace rae::tool {

/// Compiler and version that built this program, for example "g++ 12.2.0".
[[nodiscard]] std::string compiler();

/// The processor's name as Linux gives it, or "unknown".
[[nodiscard]] std::string processor();

/// Average number of processes that were ready to run in the last minute; negative if unknown.
[[nodiscard]] double load_average();

}  // namespace rae::tool
