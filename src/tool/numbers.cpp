// Parses numbers strictly: signs, spaces, other bases and words that the C library accepts are
// refused.
#include "tool/numbers.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "tool/command.hpp"
#include "tool/text.hpp"

namespace rae::tool {
namespace {

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// The text in quotes; a long one is cut.
std::string quoted(std::string_view text) {
  constexpr std::size_t kMost = 40;
  const bool cut = text.size() > kMost;
  return concat("'", printable(text.substr(0, kMost)), cut ? "...'" : "'");
}

/// True for an optional '-', digits with or without a point, and an optional exponent. A zero in
/// front of other digits is refused, as in a whole number.
bool is_decimal(std::string_view text) noexcept {
  std::size_t at = 0;
  const auto digits = [&] {
    const std::size_t begin = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    return at - begin;
  };
  const auto skip = [&](std::string_view any) {
    const bool found = at < text.size() && any.find(text[at]) != std::string_view::npos;
    at += found ? 1 : 0;
    return found;
  };
  (void)skip("-");
  const std::size_t first = at;
  const std::size_t whole = digits();
  if (whole > 1 && text[first] == '0') return false;
  const std::size_t fraction = skip(".") ? digits() : 0;
  if (whole + fraction == 0) return false;
  if (!skip("eE")) return at == text.size();
  (void)skip("+-");
  return digits() > 0 && at == text.size();
}

}  // namespace

std::optional<std::uint64_t> whole_number(std::string_view text) noexcept {
  if (text.empty() || !std::all_of(text.begin(), text.end(), is_digit)) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  std::uint64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc()) return std::nullopt;
  return value;
}

std::uint64_t parse_whole(std::string_view option, std::string_view text, std::uint64_t least,
                          std::uint64_t most) {
  const auto value = whole_number(text);
  if (!value || *value < least || *value > most)
    throw UsageError(concat(option, ": expected a whole number from ", least, " to ", most,
                            " in decimal digits, got ", quoted(text)));
  return *value;
}

double parse_real(std::string_view option, std::string_view text, RealRange range) {
  double value = std::numeric_limits<double>::quiet_NaN();
  if (is_decimal(text)) {
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec == std::errc::result_out_of_range)
      value = std::numeric_limits<double>::infinity();
  }
  if (value >= range.least && value <= range.most) return value == 0 ? 0.0 : value;
  throw UsageError(concat(option, ": expected a decimal number from ", range.least, " to ",
                          range.most, ", got ", quoted(text)));
}

std::uint64_t parse_bytes(std::string_view option, std::string_view text) {
  struct Unit {
    std::string_view name;
    double bytes;
  };
  constexpr Unit kUnits[] = {{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}};
  constexpr double kMost = 1e18;
  std::string_view number = text;
  double unit = 1;
  for (const Unit& each : kUnits)
    if (number.ends_with(each.name)) {
      number.remove_suffix(each.name.size());
      unit = each.bytes;
      break;
    }
  double value = 0;
  if (is_decimal(number)) std::from_chars(number.data(), number.data() + number.size(), value);
  if (const double bytes = std::floor(value * unit); bytes >= 1 && bytes <= kMost)
    return static_cast<std::uint64_t>(bytes);
  throw UsageError(concat(
      option, ": expected a number of bytes such as 8MB, 300kB or 8000000, got ", quoted(text)));
}

double parse_share(std::string_view option, std::string_view text) {
  const bool percent = text.ends_with('%');
  const std::string_view number = text.substr(0, text.size() - (percent ? 1 : 0));
  double value = 0;
  if (is_decimal(number)) std::from_chars(number.data(), number.data() + number.size(), value);
  if (percent) value /= 100;
  if (value > 0 && value <= 1) return value;
  throw UsageError(
      concat(option, ": expected a share above 0, such as 1% or 0.01, got ", quoted(text)));
}

CLI::Option* add_parsed_option(CLI::App& command, const std::string& names,
                               const std::function<void(const std::string&)>& set,
                               const std::string& help, const std::string& shown) {
  CLI::Option* option = command.add_option_function<std::string>(names, set, help);
  if (!shown.empty()) option->default_str(shown);
  return option;
}

void add_seed_option(CLI::App& command, std::uint64_t& seed, const std::string& help) {
  add_whole_option(command, "--seed", seed, help, 0, std::numeric_limits<std::uint64_t>::max());
}

std::string long_name(const std::string& names) {
  for (const std::string& name : split_list(names))
    if (name.starts_with("--")) return name;
  return names;
}

}  // namespace rae::tool
