#include "weights_selection.hpp"

#include <algorithm>

#include "rae/error.hpp"

namespace rae::detail {
namespace {

bool is_below(std::string_view name, std::string_view key) {
  return name.size() > key.size() && name.starts_with(key) && name[key.size()] == '.';
}

/// The key to select among these names; empty for none.
std::string_view key_of(const std::vector<std::string>& names) {
  const auto any_below = [&](std::string_view key) {
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& name) { return is_below(name, key); });
  };
  for (const std::string_view key : kAverageKeys)
    if (any_below(key)) return key;
  const bool all = std::all_of(names.begin(), names.end(), [](const std::string& name) {
    return std::any_of(std::begin(kWeightKeys), std::end(kWeightKeys),
                       [&](std::string_view key) { return is_below(name, key); });
  });
  if (all)
    for (const std::string_view key : kWeightKeys)
      if (any_below(key)) return key;
  return {};
}

}  // namespace

std::string to_string(const WeightsPath& path) {
  std::string out;
  for (const std::string& key : path) out += (out.empty() ? "" : ".") + key;
  return out;
}

std::string without_wrappers(std::string_view name) {
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view prefix : {"module.", "_orig_mod."}) {
      if (!name.starts_with(prefix)) continue;
      name.remove_prefix(prefix.size());
      again = true;
    }
  }
  return std::string(name);
}

WeightsPath select_weights(const std::vector<std::string>& names) {
  WeightsPath path;
  std::vector<std::string> rest;
  for (const std::string& name : names) rest.push_back(without_wrappers(name));
  for (std::string_view key = key_of(rest); !rest.empty() && !key.empty(); key = key_of(rest)) {
    path.emplace_back(key);
    std::erase_if(rest, [&](const std::string& name) { return !is_below(name, key); });
    for (std::string& name : rest)
      name = without_wrappers(std::string_view(name).substr(key.size() + 1));
  }
  return path;
}

std::optional<std::string> name_in_part(const WeightsPath& path, std::string_view name) {
  std::string rest = without_wrappers(name);
  for (const std::string& key : path) {
    if (!is_below(rest, key)) return std::nullopt;
    rest = without_wrappers(std::string_view(rest).substr(key.size() + 1));
  }
  return rest;
}

}  // namespace rae::detail
