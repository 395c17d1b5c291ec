// JSON files with members that are too large for a configuration.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "rae/io/config.hpp"

namespace rae::detail {

/// Parses JSON and skips the members `dropped` of the outermost map. The rest must keep the limits
/// of configurations, but `text` may be of any length. Throws ConfigError.
[[nodiscard]] ConfigNode parse_json_without(std::string_view text, const std::string& origin,
                                            std::span<const std::string_view> dropped);

}  // namespace rae::detail
