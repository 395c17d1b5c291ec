// "did you mean ...?" for names that do not exist.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rae::detail {

/// "; did you mean 'x'?" for the candidate with the smallest edit distance from `name`, or "" when
/// none is similar.
[[nodiscard]] std::string suggestion(std::string_view name,
                                     const std::vector<std::string>& candidates);

}  // namespace rae::detail
