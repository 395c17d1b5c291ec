#include "formats/official/version_2.hpp"

#include <string>
#include <string_view>

#include "formats/official/values.hpp"

namespace rae::official {
namespace {

/// A key that only RAEv2 has, as a path, and the part of RAEv2 that it configures.
struct Key {
  std::string_view path, part;
};

constexpr Key kKeys[] = {
    {"stage_1.params.encoder_name", "encoders by name (DINOv3, means of several layers)"},
    {"stage_1.params.resolution", "decoders without pixel statistics"},
    {"stage_2.params.base_model_depth", "internal guidance (a second output head)"},
    {"internal_guidance", "internal guidance (a second output head)"},
    {"guidance.ig", "internal guidance (a second output head)"},
    {"guidance.cfg", "two kinds of guidance at a time"},
    {"conditioning", "conditioning by tokens"},
    {"repa", "alignment with a target encoder (REPA)"},
    {"transport.t_eps", "the prediction of data with a smallest time"},
};

/// The value at a path of keys; null when it is absent.
const ConfigNode* value_at(const ConfigNode& node, std::string_view path) {
  const ConfigNode* at = &node;
  while (at != nullptr && !path.empty()) {
    const std::size_t dot = path.find('.');
    if (!at->is_map()) return nullptr;
    at = at->find(path.substr(0, dot));
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  }
  return at;
}

/// True when the target is a class with internal guidance, whose name ends with IG.
bool has_guidance_class(const ConfigNode& node) {
  const ConfigNode* target = value_at(node, "stage_2.target");
  return target != nullptr && target->is_string() && target->as_string().ends_with("IG");
}

}  // namespace

void require_version_1(const ConfigNode& node) {
  std::string keys, parts;
  const auto add = [&](std::string_view key, std::string_view part) {
    keys += concat(keys.empty() ? "" : ", ", key);
    if (parts.find(part) == std::string::npos) parts += concat(parts.empty() ? "" : "; ", part);
  };
  for (const auto& [path, part] : kKeys)
    if (value_at(node, path) != nullptr) add(path, part);
  if (has_guidance_class(node)) add("stage_2.target", kKeys[2].part);
  if (!keys.empty())
    raise<ConfigError>(node.where(), ": is a configuration of RAEv2 (", keys,
                       "), which is not supported yet: ", parts,
                       "; this program reads the configurations of the first RAE");
}

}  // namespace rae::official
