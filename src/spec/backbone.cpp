#include "rae/spec/backbone.hpp"

#include <algorithm>
#include <iterator>
#include <mutex>

#include "spec/builtin_backbones.hpp"
#include "spec/model_keys.hpp"

#include "rae/core/owner.hpp"

namespace rae {
namespace {

/// All kinds. Made when it is first needed, with the built-in kinds in it, so that neither the
/// order in which files are initialised nor the linker decides what is known. Kinds are never
/// removed.
class Registry {
 public:
  static Registry& instance() {
    static Registry registry;
    return registry;
  }

  void add(OwnedPointer<const BackboneKind> kind) {
    const std::lock_guard lock(mutex_);
    const std::string_view name = kind->name();
    const auto allowed = [](char c) {
      return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
    };
    if (name.empty() || name.size() > 64 || !std::all_of(name.begin(), name.end(), allowed))
      raise<ArgumentError>("register_backbone: the name '", name,
                           "': expected 1 to 64 small letters, digits and underscores");
    for (const auto& other : kinds_) {
      const bool same_name = other->name() == name,
                 same_type = other->config_type() == kind->config_type();
      if (same_name && same_type) return;
      if (same_type)
        raise<ArgumentError>("register_backbone: the configuration of '", name, "' is that of '",
                             other->name(), "'; give it a type of its own");
    }
    for (const std::string_view key : {name, kind->guide_name()})
      if (std::find(std::begin(detail::kModelKeys), std::end(detail::kModelKeys), key) !=
              std::end(detail::kModelKeys) ||
          find_locked(key))
        raise<ArgumentError>("register_backbone: the name '", key, "' is taken");
    kinds_.push_back(std::move(kind));
  }

  [[nodiscard]] const BackboneKind* find(std::string_view name) const {
    const std::lock_guard lock(mutex_);
    return find_locked(name);
  }

  [[nodiscard]] const BackboneKind* find(const std::type_info& config) const {
    const std::lock_guard lock(mutex_);
    for (const auto& kind : kinds_)
      if (kind->config_type() == config) return kind.get();
    return nullptr;
  }

  [[nodiscard]] std::vector<const BackboneKind*> all() const {
    const std::lock_guard lock(mutex_);
    std::vector<const BackboneKind*> out;
    for (const auto& kind : kinds_) out.push_back(kind.get());
    return out;
  }

 private:
  Registry() {
    kinds_.push_back(detail::dit_dh_kind());
    kinds_.push_back(detail::lightning_dit_kind());
  }

  [[nodiscard]] const BackboneKind* find_locked(std::string_view name) const {
    for (const auto& kind : kinds_)
      if (kind->name() == name || kind->guide_name() == name) return kind.get();
    return nullptr;
  }

  mutable std::mutex mutex_;
  std::vector<OwnedPointer<const BackboneKind>> kinds_;
};

}  // namespace

const BackboneKind* find_backbone(std::string_view name) { return Registry::instance().find(name); }

std::vector<const BackboneKind*> backbone_kinds() { return Registry::instance().all(); }

namespace detail {

const BackboneKind& backbone_kind_of(const std::type_info& config) {
  if (const BackboneKind* found = Registry::instance().find(config)) return *found;
  raise<ConfigError>("a diffusion network that is not registered; call register_backbone first");
}

void add_backbone(OwnedPointer<const BackboneKind> kind) {
  Registry::instance().add(std::move(kind));
}

}  // namespace detail
}  // namespace rae
