// A place in a configuration, as messages name it: "model.yaml: dit.hidden_size[0]". For values
// that were never in a file, the name of the file is left out.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace rae {

/// The place of a value: the file, and the path of keys inside it.
class ConfigPlace {
 public:
  /// `origin` names the file or document; empty for a configuration that comes from none.
  explicit ConfigPlace(std::string origin = {}, std::string path = {})
      : origin_(std::move(origin)), path_(std::move(path)) {}

  /// A member of the map at this place.
  [[nodiscard]] ConfigPlace operator/(std::string_view key) const {
    return ConfigPlace(origin_, path_.empty() ? std::string(key) : path_ + '.' + std::string(key));
  }
  /// An element of the list at this place, counted from 0.
  [[nodiscard]] ConfigPlace operator[](std::size_t i) const {
    return ConfigPlace(origin_, path_ + '[' + std::to_string(i) + ']');
  }

  /// "model.yaml: dit.depth"; without a file "dit.depth"; for the whole file "model.yaml".
  [[nodiscard]] std::string to_string() const {
    if (path_.empty()) return origin_.empty() ? "configuration" : origin_;
    return origin_.empty() ? path_ : origin_ + ": " + path_;
  }

 private:
  std::string origin_, path_;
};

}  // namespace rae
