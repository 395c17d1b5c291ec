// Values of official configurations, with ranges; errors name the place in the file.
#pragma once

#include <charconv>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "io/config_values.hpp"
#include "io/suggestion.hpp"

namespace rae::official {

/// Remarks on a file for the user.
using Notes = std::vector<std::string>;

using detail::given;
using detail::number_in;

/// The integer under a key, or `fallback` when it is absent or null. Throws ConfigError outside
/// [lowest, highest].
inline index_t size_of(const ConfigNode& node, std::string_view key, index_t fallback,
                       index_t lowest, index_t highest) {
  const ConfigNode* found = given(node, key);
  return found == nullptr ? fallback : found->as_integer(lowest, highest);
}

/// The string under a key, which must be one of `choices`, or `fallback` when it is absent or null.
/// Throws ConfigError.
inline std::string choice_of(const ConfigNode& node, std::string_view key,
                             std::string_view fallback,
                             std::initializer_list<std::string_view> choices) {
  const ConfigNode* found = given(node, key);
  if (found == nullptr) return std::string(fallback);
  const std::string& value = found->as_string();
  std::string all;
  for (const std::string_view choice : choices) {
    if (value == choice) return value;
    all += concat(all.empty() ? "" : ", ", choice);
  }
  raise<ConfigError>(
      found->where(), ": expected one of ", all, ", got '", value, "'",
      detail::suggestion(value, std::vector<std::string>(choices.begin(), choices.end())));
}

/// Returns parse(the node's string). An ArgumentError of `parse` becomes a ConfigError with the
/// place in the file.
template <class Parse>
auto parsed(const ConfigNode& node, Parse parse) {
  try {
    return parse(node.as_string());
  } catch (const ArgumentError& error) {
    raise<ConfigError>(node.where(), ": ", error.what());
  }
}

/// The shortest decimal that reads back as the same float: 1.42, not 1.41999996.
inline double shortest(float value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  double out = 0;
  std::from_chars(text, end, out);
  return out;
}

}  // namespace rae::official
