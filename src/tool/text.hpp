// Formats numbers and untrusted text for display.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rae::tool {

/// Replaces control characters by '?', except line ends if `keep_lines`: text from a file must not
/// send commands to the terminal.
[[nodiscard]] std::string printable(std::string_view text, bool keep_lines = false);

/// "17 bytes", "1.2 kB", "11.4 MB".
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);

/// "1,234,567".
[[nodiscard]] std::string format_count(std::int64_t count);

/// "0:07", "12:34", "1:02:03"; "-:--" if it is unknown.
[[nodiscard]] std::string format_duration(double seconds);

/// A number with `digits` significant digits.
[[nodiscard]] std::string format_number(double value, int digits = 4);

/// A number with `decimals` digits after the point, so that a redrawn line keeps its width.
[[nodiscard]] std::string format_fixed(double value, int decimals);

/// "0.123", "12.3", "12,345": three significant digits, or all digits before the point.
[[nodiscard]] std::string format_rate(double per_second);

/// "1 picture", "2 pictures".
[[nodiscard]] std::string plural(std::int64_t count, std::string_view noun);

}  // namespace rae::tool
