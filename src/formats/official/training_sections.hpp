// Reading of official configurations: values with ranges, and the sections that only training looks
// at.
#pragma once

#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "io/config_values.hpp"
#include "io/suggestion.hpp"
#include "rae/formats/official/config.hpp"

namespace rae::official {

/// Things that a person should be told about a file.
using Notes = std::vector<std::string>;

using detail::given;
using detail::number_in;

/// An optional integer within bounds.
inline index_t size_of(const ConfigNode& node, std::string_view key, index_t fallback,
                       index_t lowest, index_t highest) {
  const ConfigNode* found = given(node, key);
  return found == nullptr ? fallback : found->as_integer(lowest, highest);
}

/// An optional text out of a few.
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

/// Calls parse(text of the node), whose ArgumentError gets the place in the file.
template <class Parse>
auto parsed(const ConfigNode& node, Parse parse) {
  try {
    return parse(node.as_string());
  } catch (const ArgumentError& error) {
    raise<ConfigError>(node.where(), ": ", error.what());
  }
}

/// Section `training` of a configuration that trains the diffusion transformer, or of one that
/// trains the decoder.
[[nodiscard]] OfficialTraining parse_training(const ConfigNode& node, bool stage_2, Notes& notes);
/// Section `gan`.
[[nodiscard]] OfficialGan parse_gan(const ConfigNode& node);
/// Section `eval`.
[[nodiscard]] OfficialEval parse_eval(const ConfigNode& node);

}  // namespace rae::official
