// Numbers on the command line: decimal, and in the range of their option.
#pragma once

#include <CLI/CLI.hpp>
#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "rae/core/shape.hpp"

namespace rae::tool {

/// Most pictures of one command: of a set, and of a batch.
inline constexpr index_t kMostPictures = 1000000;

/// A whole number without sign: decimal digits, with no zero in front of others. Absent for any
/// other text, also for surrounding spaces, "5.0" and "1e3", and above 2^64 - 1.
[[nodiscard]] std::optional<std::uint64_t> whole_number(std::string_view text) noexcept;

/// A whole number from `least` to `most`. Throws UsageError that names the option and the range.
[[nodiscard]] std::uint64_t parse_whole(std::string_view option, std::string_view text,
                                        std::uint64_t least, std::uint64_t most);

/// The numbers that an option for a real number takes; by default all that a float holds.
struct RealRange {
  double least = 0;
  double most = std::numeric_limits<float>::max();
};

/// A finite decimal number such as 2, 0.5, .5 or 1e-3, in the range. Throws UsageError that names
/// the option and the range.
[[nodiscard]] double parse_real(std::string_view option, std::string_view text, RealRange range);

/// A number of bytes: a decimal number above 0 with or without a unit of powers of 1,000, such as
/// 8MB, 1.5GB, 300kB or 8000000. Throws UsageError that names the option.
[[nodiscard]] std::uint64_t parse_bytes(std::string_view option, std::string_view text);

/// A share above 0, at most 1: 1% or 0.01. Throws UsageError that names the option.
[[nodiscard]] double parse_share(std::string_view option, std::string_view text);

/// An option that is parsed as text. `set` receives the value; `shown` is the default in the help,
/// or empty.
CLI::Option* add_parsed_option(CLI::App& command, const std::string& names,
                               const std::function<void(const std::string&)>& set,
                               const std::string& help, const std::string& shown);

/// `--seed`, a whole number below 2^64.
void add_seed_option(CLI::App& command, std::uint64_t& seed, const std::string& help);

/// The long name of an option: "--steps" of "-s,--steps".
[[nodiscard]] std::string long_name(const std::string& names);

/// The number type of the target of an option, and its default as the help shows it.
template <class T>
struct NumberOf {
  using Type = T;
  static std::string shown(const T& value) { return concat(value); }
};
template <class T>
struct NumberOf<std::optional<T>> {
  using Type = T;
  static std::string shown(const std::optional<T>&) { return {}; }
};

/// An option for a whole number from `least` to `most`, stored in `target`, an integer or an
/// optional one. The help shows the default of an integer.
template <class Target>
CLI::Option* add_whole_option(CLI::App& command, const std::string& names, Target& target,
                              const std::string& help, std::uint64_t least, std::uint64_t most) {
  using Number = typename NumberOf<Target>::Type;
  static_assert(std::integral<Number>);
  const auto set = [&target, name = long_name(names), least, most](const std::string& text) {
    target = static_cast<Number>(parse_whole(name, text, least, most));
  };
  return add_parsed_option(command, names, set, help, NumberOf<Target>::shown(target))
      ->type_name("N");
}

/// An option for a real number in `range`, stored in `target`, a number or an optional one. The
/// help shows the default of a number.
template <class Target>
CLI::Option* add_real_option(CLI::App& command, const std::string& names, Target& target,
                             const std::string& help, RealRange range = {}) {
  using Number = typename NumberOf<Target>::Type;
  static_assert(std::floating_point<Number>);
  const auto set = [&target, name = long_name(names), range](const std::string& text) {
    target = static_cast<Number>(parse_real(name, text, range));
  };
  return add_parsed_option(command, names, set, help, NumberOf<Target>::shown(target));
}

}  // namespace rae::tool
