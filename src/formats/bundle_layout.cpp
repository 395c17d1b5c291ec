#include "formats/bundle_layout.hpp"

#include <algorithm>
#include <map>

namespace rae::detail {
namespace {

/// The numbers of elements of a network in the configuration and in the file.
struct Count {
  std::string prefix;
  index_t expected;
  bool required;  // it must be in the file
  index_t found = 0;
};

std::vector<Count> counts_of(const ModelConfig& config) {
  std::vector<Count> out;
  for (const NetworkRole role : kNetworkRoles)
    out.push_back({prefix_of(role), parameter_count(outline_of(config, role).parameters),
                   describes(config, role) && role != NetworkRole::encoder});
  return out;
}

}  // namespace

ModelConfig bundle_config(const std::string& origin,
                          const std::map<std::string, std::string>& metadata) {
  const auto text = metadata.find(std::string(kConfigKey));
  if (text == metadata.end())
    raise<FormatError>(origin, ": is not a bundle: its metadata have no key '", kConfigKey,
                       "', and weights without a configuration cannot be used");
  return parse_model_config(ConfigNode::parse_json(text->second, origin + ": config"));
}

void require_tensors(const std::string& origin, const ModelConfig& config,
                     const std::map<std::string, Shape>& shapes, std::optional<DType> packed) {
  std::vector<Count> networks = counts_of(config);
  for (const auto& [name, shape] : shapes) {
    if (name == kLatentMean || name == kLatentVar) {
      if (!(shape == config.latent_shape()))
        raise<ShapeError>(origin, ": tensor ", name, ": expected ", config.latent_shape(), ", got ",
                          shape);
      continue;
    }
    const auto network = std::find_if(
        networks.begin(), networks.end(),
        [&tensor = name](const Count& each) { return tensor.starts_with(each.prefix); });
    if (network == networks.end())
      raise<FormatError>(origin, ": no network of a model has a tensor named ", name);
    if (network->expected == 0)
      raise<FormatError>(origin, ": has a tensor ", name,
                         ", but its configuration has no such network");
    network->found += shape.numel();
  }
  for (const Count& network : networks) {
    if (network.found == 0 && !network.required) continue;
    if (packed ? network.found < least_packed_elements(*packed, network.expected)
               : network.found != network.expected)
      raise<FormatError>(origin, ": the tensors ", network.prefix, "* have ", network.found,
                         " elements, the configuration needs ", network.expected);
  }
}

bool needs_no_tensors(const ModelConfig& config, NetworkRole role) {
  return role == NetworkRole::encoder && !config.encoder.has_parameters();
}

void require_free_notes(std::string_view where, const std::map<std::string, std::string>& notes) {
  for (const std::string_view key : {kConfigKey, kPackedKey, kLayerTypesKey})
    if (notes.count(std::string(key)) != 0)
      raise<ArgumentError>(where, ": the note '", key, "' is reserved");
}

void require_values(const std::string& origin, const std::string& name,
                    const Tensor<float>& tensor) {
  if (!all_finite(tensor.span()))
    raise<FormatError>(origin, ": tensor ", name, " contains NaN or infinity");
  if (name != kLatentVar) return;
  for (const float value : tensor.span())
    if (value < 0) raise<FormatError>(origin, ": tensor ", name, " contains a negative variance");
}

}  // namespace rae::detail
