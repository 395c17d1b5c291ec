// JSON with members that are too large for a configuration.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "rae/io/config.hpp"

namespace rae::detail {

/// Parses JSON; the members `dropped` of the outermost map are read over and kept nowhere. What
/// remains is under the limits of configurations, but the text may be of any length. Throws
/// ConfigError.
[[nodiscard]] ConfigNode parse_json_without(std::string_view text, const std::string& origin,
                                            std::span<const std::string_view> dropped);

}  // namespace rae::detail
