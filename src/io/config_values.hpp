// Numbers and names in configuration maps, with limits; errors name the place in the file.
#pragma once

#include <string_view>

#include "rae/core/shape.hpp"
#include "rae/io/config.hpp"

namespace rae::detail {

/// The number under a key, or `fallback` when it is absent or null. Throws ConfigError outside
/// [lowest, highest].
inline double number_in(const ConfigNode& node, std::string_view key, double fallback,
                        double lowest, double highest) {
  const ConfigNode* found = node.find(key);
  if (found == nullptr || found->is_null()) return fallback;
  const double value = found->as_number();
  if (!(value >= lowest && value <= highest))
    found->fail_expected(concat("a number from ", lowest, " to ", highest));
  return value;
}

/// Parses the name under a key, or `fallback` when it is absent or null. An ArgumentError of
/// `parse` becomes a ConfigError with the place in the file.
template <class Parse>
auto named(const ConfigNode& node, std::string_view key, std::string_view fallback, Parse parse) {
  const ConfigNode* found = node.find(key);
  if (found == nullptr || found->is_null()) return parse(fallback);
  try {
    return parse(found->as_string());
  } catch (const ArgumentError& error) {
    raise<ConfigError>(found->where(), ": ", error.what());
  }
}

/// The value under a key; nullptr when it is absent or null.
inline const ConfigNode* given(const ConfigNode& node, std::string_view key) {
  const ConfigNode* found = node.find(key);
  return found == nullptr || found->is_null() ? nullptr : found;
}

}  // namespace rae::detail
