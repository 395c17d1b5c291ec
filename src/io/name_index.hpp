// The names of a reader's tensors and their positions, with one error message for missing names and
// for tensors that cannot be read.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "rae/error.hpp"
#include "rae/io/tensor_reader.hpp"
#include "suggestion.hpp"

namespace rae::detail {

/// The metadata of files that have none.
inline const std::map<std::string, std::string>& no_metadata() noexcept {
  static const std::map<std::string, std::string> nothing;
  return nothing;
}

/// Names in the order of a file. Not copyable: the table refers to the names.
class NameIndex {
 public:
  NameIndex() = default;
  NameIndex(const NameIndex&) = delete;
  NameIndex& operator=(const NameIndex&) = delete;

  /// Sets the names. Throws FormatError, naming the file `origin`, when one appears twice.
  void assign(std::vector<std::string> names, const std::string& origin,
              UnreadableTensors unreadable = {}) {
    names_ = std::move(names);
    unreadable_ = std::move(unreadable);
    origin_ = origin;
    for (std::size_t i = 0; i < names_.size(); ++i)
      if (!index_.emplace(names_[i], i).second)
        raise<FormatError>(origin_, ": two tensors are named '", names_[i].substr(0, 100), "'");
  }

  [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }
  [[nodiscard]] const UnreadableTensors& unreadable() const noexcept { return unreadable_; }
  [[nodiscard]] bool contains(std::string_view name) const noexcept {
    return index_.find(name) != index_.end();
  }

  /// Position of a name. Throws FormatError when it cannot be read, with the reason, or is missing,
  /// with the nearest name.
  [[nodiscard]] std::size_t find(std::string_view name) const {
    const auto found = index_.find(name);
    if (found == index_.end()) {
      if (const auto reason = unreadable_.find(name); reason != unreadable_.end())
        raise<FormatError>("tensor '", name, "' in ", origin_, " cannot be read: it ",
                           reason->second);
      raise<FormatError>("tensor '", name, "' is not in ", origin_, " (", names_.size(),
                         " tensors)", suggestion(name, names_));
    }
    return found->second;
  }

 private:
  std::string origin_;
  std::vector<std::string> names_;
  UnreadableTensors unreadable_;
  std::unordered_map<std::string_view, std::size_t> index_;  // keys point into `names_`
};

}  // namespace rae::detail
