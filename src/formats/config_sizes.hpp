// Sizes in the configurations of other programs.
#pragma once

#include <string_view>

#include "rae/core/shape.hpp"
#include "rae/io/config.hpp"

namespace rae::detail {

/// A size from 1 to `highest`, or `fallback` where the key is missing or null. Throws ConfigError.
[[nodiscard]] inline index_t size_or(const ConfigNode& node, std::string_view key, index_t fallback,
                                     index_t highest) {
  const ConfigNode* found = node.find(key);
  return found == nullptr || found->is_null() ? fallback : found->as_integer(1, highest);
}

}  // namespace rae::detail
