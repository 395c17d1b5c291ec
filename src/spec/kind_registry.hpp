// A table of registered kinds, of diffusion networks or of encoders.
#pragma once

#include <algorithm>
#include <mutex>
#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

#include "rae/core/owner.hpp"
#include "rae/error.hpp"

namespace rae::detail {

/// Kinds by their names and by the types of their configurations. Kinds are never removed, so that
/// pointers to them stay valid. All members can be called from several threads.
template <class Kind>
class KindRegistry {
 public:
  /// `builtin`: the kinds of the library. `where`: the name of the registering function, for
  /// messages.
  KindRegistry(std::string where, std::vector<OwnedPointer<const Kind>> builtin)
      : where_(std::move(where)), kinds_(std::move(builtin)) {}

  /// Adds a kind; does nothing for a kind that is registered already. Throws ArgumentError for a
  /// name or a type of configurations that is taken, and for a name with characters other than
  /// lower-case letters, digits and underscores.
  void add(OwnedPointer<const Kind> kind) {
    const std::lock_guard lock(mutex_);
    const std::vector<std::string_view> names = kind->names();
    for (const auto& other : kinds_) {
      if (other->config_type() != kind->config_type()) continue;
      if (other->names() == names) return;
      raise<ArgumentError>(where_, ": the configuration of '", names.front(), "' is that of '",
                           other->names().front(), "'; give it a type of its own");
    }
    for (const std::string_view name : names) {
      require_name(name);
      if (find_locked(name) != nullptr)
        raise<ArgumentError>(where_, ": the name '", name, "' is taken");
    }
    kinds_.push_back(std::move(kind));
  }

  /// The kind that has this name among its names, or nullptr.
  [[nodiscard]] const Kind* find(std::string_view name) const {
    const std::lock_guard lock(mutex_);
    return find_locked(name);
  }

  /// The kind with this type of configurations, or nullptr.
  [[nodiscard]] const Kind* find(const std::type_info& config) const {
    const std::lock_guard lock(mutex_);
    for (const auto& kind : kinds_)
      if (kind->config_type() == config) return kind.get();
    return nullptr;
  }

  /// All kinds in the order of their registration, the built-in ones first.
  [[nodiscard]] std::vector<const Kind*> all() const {
    const std::lock_guard lock(mutex_);
    std::vector<const Kind*> out;
    for (const auto& kind : kinds_) out.push_back(kind.get());
    return out;
  }

 private:
  void require_name(std::string_view name) const {
    constexpr std::size_t kMaxName = 64;
    const auto allowed = [](char c) {
      return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
    };
    if (name.empty() || name.size() > kMaxName || !std::all_of(name.begin(), name.end(), allowed))
      raise<ArgumentError>(where_, ": the name '", name, "': expected 1 to ", kMaxName,
                           " lower-case letters, digits and underscores");
  }

  [[nodiscard]] const Kind* find_locked(std::string_view name) const {
    for (const auto& kind : kinds_)
      for (const std::string_view known : kind->names())
        if (known == name) return kind.get();
    return nullptr;
  }

  std::string where_;
  mutable std::mutex mutex_;
  std::vector<OwnedPointer<const Kind>> kinds_;
};

}  // namespace rae::detail
