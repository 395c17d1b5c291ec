#include "rae/spec/any_encoder.hpp"

#include "io/suggestion.hpp"
#include "rae/core/owner.hpp"
#include "rae/spec/limits.hpp"
#include "spec/kind_registry.hpp"
#include "spec/vit_encoder.hpp"

namespace rae {
namespace {

/// All kinds. Created at its first use, with the built-in kind, so that the result does not depend
/// on the order in which files are initialised nor on the linker.
detail::KindRegistry<EncoderKind>& encoder_registry() {
  static detail::KindRegistry<EncoderKind> kinds("register_encoder", [] {
    std::vector<OwnedPointer<const EncoderKind>> builtin;
    builtin.push_back(detail::vit_encoder_kind());
    return builtin;
  }());
  return kinds;
}

constexpr std::string_view kFamily = "family";

}  // namespace

const EncoderKind* find_encoder(std::string_view family) { return encoder_registry().find(family); }

std::vector<const EncoderKind*> encoder_kinds() { return encoder_registry().all(); }

namespace detail {

const EncoderKind& encoder_kind_of(const std::type_info& config) {
  if (const EncoderKind* found = encoder_registry().find(config)) return *found;
  raise<ConfigError>("the encoder's kind is not registered; call register_encoder first");
}

void add_encoder(OwnedPointer<const EncoderKind> kind) { encoder_registry().add(std::move(kind)); }

}  // namespace detail

AnyEncoder AnyEncoder::parse(const ConfigNode& node) {
  const ConfigNode& family = node.at(kFamily);
  const EncoderKind* kind = find_encoder(family.as_string());
  if (kind == nullptr) {
    std::string known;
    std::vector<std::string> names;
    for (const EncoderKind* each : encoder_kinds())
      for (const std::string_view name : each->names()) {
        known += concat(names.empty() ? "" : ", ", name);
        names.emplace_back(name);
      }
    raise<ConfigError>(family.where(), ": unknown encoder family '",
                       family.as_string().substr(0, 100), "': expected one of ", known,
                       detail::suggestion(family.as_string(), names),
                       "; a program adds its own encoders by register_encoder");
  }
  AnyEncoder out(*kind, kind->parse(node));
  out.validate(node.place());
  return out;
}

ConfigNode AnyEncoder::to_config() const {
  ConfigNode out = ConfigNode::map({{std::string(kFamily), family()}});
  const ConfigNode own = kind_->to_config(config_);
  for (const auto& [key, value] : own.members()) out.set(key, value);
  return out;
}

void AnyEncoder::validate(const ConfigPlace& place) const {
  kind_->validate(config_, place);
  const auto& [channels, patch, width] = shape();
  if (channels != 1 && channels != 3)
    raise<ConfigError>((place / "channels").to_string(), ": expected 1 (gray) or 3 (RGB), got ",
                       channels);
  require_size(place / "patch_size", patch, 1, kMaxGrid);
  require_size(place / "hidden_size", width, 1, kMaxWidth);
}

}  // namespace rae
