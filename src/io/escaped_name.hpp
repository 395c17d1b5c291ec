// File names, which may have any bytes but '/' and NUL, as text of one line.
#pragma once

#include <string>
#include <string_view>

#include "rae/io/config.hpp"

namespace rae::detail {

/// The name in UTF-8 without line ends: control characters, backslashes and, in a name that is not
/// UTF-8, all bytes above 127 become \xNN.
[[nodiscard]] std::string escaped_name(std::string_view name);

/// Inverse of `escaped_name`. Throws ConfigError, naming the place of `node`, for a backslash that
/// is not followed by two hexadecimal digits.
[[nodiscard]] std::string unescaped_name(std::string_view text, const ConfigNode& node);

}  // namespace rae::detail
