#include "rae/spec/layer_types.hpp"

#include <algorithm>

#include "rae/spec/weight_types.hpp"

namespace rae {
namespace {

/// A number of weights at which the types take different numbers of bytes.
constexpr std::uint64_t kMany = 1 << 10;

}  // namespace

NetworkOutline outline_of(const ModelConfig& config, NetworkRole role, const LayerTypes& types) {
  NetworkOutline out = outline_of(config, role);
  if (types.empty()) return out;
  const std::string prefix = concat(name_of(role), ".");
  std::map<std::string, DType, std::less<>> own;  // by the name in the network
  for (const ParameterShape& parameter : out.parameters) {
    if (parameter.use == ParameterUse::elements) continue;
    const auto found = types.find(prefix + parameter.name);
    if (found == types.end())
      raise<ConfigError>("the types of the layers have none for ", prefix, parameter.name);
    require_weight_type(found->second);
    own.emplace(parameter.name, found->second);
  }
  out.weight_type = [own](DType wanted, std::string_view name) {
    const auto found = own.find(name);
    return found == own.end() ? wanted : found->second;
  };
  return out;
}

DType narrowest(const LayerTypes& types) {
  return std::min_element(types.begin(), types.end(),
                          [](const auto& a, const auto& b) {
                            return bytes_of_weights(a.second, kMany) <
                                   bytes_of_weights(b.second, kMany);
                          })
      ->second;
}

std::string_view name_of(DType type, const LayerTypes& types) noexcept {
  return types.empty() ? name_of(type) : "mixed";
}

}  // namespace rae
