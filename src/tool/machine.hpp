// What a measurement was made with.
#pragma once

#include <string>

namespace rae::tool {

/// The compiler of this program: "g++ 12.2.0".
[[nodiscard]] std::string compiler();

/// The processor's name as Linux gives it, or "unknown".
[[nodiscard]] std::string processor();

/// Programs that wanted to run at the same time, the average of the last minute; negative when the
/// system does not say.
[[nodiscard]] double load_average();

}  // namespace rae::tool
