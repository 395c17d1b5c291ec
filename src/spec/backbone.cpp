#include "rae/spec/backbone.hpp"
#include "rae/core/owner.hpp"

#include <algorithm>
#include <iterator>

#include "spec/builtin_backbones.hpp"
#include "spec/kind_registry.hpp"
#include "spec/model_keys.hpp"

namespace rae {
namespace {

/// All kinds. Created at its first use, with the built-in kinds, so that the result does not depend
/// on the order in which files are initialised nor on the linker.
detail::KindRegistry<BackboneKind>& backbone_registry() {
  static detail::KindRegistry<BackboneKind> kinds("register_backbone", [] {
    std::vector<OwnedPointer<const BackboneKind>> builtin;
    builtin.push_back(detail::dit_dh_kind());
    builtin.push_back(detail::lightning_dit_kind());
    builtin.push_back(detail::token_dit_kind());
    builtin.push_back(detail::token_dit_dh_kind());
    return builtin;
  }());
  return kinds;
}

}  // namespace

const BackboneKind* find_backbone(std::string_view name) { return backbone_registry().find(name); }

std::vector<const BackboneKind*> backbone_kinds() { return backbone_registry().all(); }

namespace detail {

const BackboneKind& backbone_kind_of(const std::type_info& config) {
  if (const BackboneKind* found = backbone_registry().find(config)) return *found;
  raise<ConfigError>(
      "the diffusion network's kind is not registered; call register_backbone first");
}

void add_backbone(OwnedPointer<const BackboneKind> kind) {
  for (const std::string_view name : kind->names())
    if (std::find(std::begin(kModelKeys), std::end(kModelKeys), name) != std::end(kModelKeys))
      raise<ArgumentError>("register_backbone: the name '", name, "' is taken");
  backbone_registry().add(std::move(kind));
}

}  // namespace detail
}  // namespace rae
