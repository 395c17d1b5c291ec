// Numbers and foreign text as a person reads them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rae::tool {

/// Control characters become '?', but for line ends where they are wanted: text of a file must not
/// steer the terminal.
[[nodiscard]] std::string printable(std::string_view text, bool keep_lines = false);

/// "17 bytes", "1.2 kB", "11.4 MB".
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);

/// "1,234,567".
[[nodiscard]] std::string format_count(std::int64_t count);

/// "0:07", "12:34", "1:02:03"; "-:--" when it is not known.
[[nodiscard]] std::string format_duration(double seconds);

/// A number with `digits` significant digits.
[[nodiscard]] std::string format_number(double value, int digits = 4);

/// A number with `decimals` digits behind the point: a line that is redrawn does not jump.
[[nodiscard]] std::string format_fixed(double value, int decimals);

/// "0.123", "12.3", "12,345": three digits, or all before the point.
[[nodiscard]] std::string format_rate(double per_second);

/// "1 picture", "2 pictures".
[[nodiscard]] std::string plural(std::int64_t count, std::string_view noun);

}  // namespace rae::tool
