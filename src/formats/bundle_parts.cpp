#include "formats/bundle_parts.hpp"

#include <array>

namespace rae::detail {
namespace {

/// Elements that a part of the configuration needs; absent parts may have none.
struct Part {
  std::string_view prefix;
  index_t expected;
  bool required;
  index_t found = 0;
};

/// The part that the configuration may have or not.
template <class Config>
Part part_of(std::string_view prefix, const std::optional<Config>& config) {
  return {prefix, config ? parameter_count(*config) : 0, config.has_value()};
}

}  // namespace

ModelConfig bundle_config(const std::string& origin,
                          const std::map<std::string, std::string>& metadata) {
  const auto text = metadata.find(std::string(kConfigKey));
  if (text == metadata.end())
    raise<FormatError>(origin, ": is no bundle: its metadata have no key '", kConfigKey,
                       "'; weights without a configuration cannot be used");
  return parse_model_config(ConfigNode::parse_json(text->second, origin + ": config"));
}

void require_parts(const std::string& origin, const ModelConfig& config,
                   const std::map<std::string, Shape>& shapes, std::optional<DType> packed) {
  std::array<Part, 4> parts{
      Part{"encoder.", parameter_count(config.encoder), false}, part_of("decoder.", config.decoder),
      config.lightning_dit ? part_of("dit.", config.lightning_dit) : part_of("dit.", config.dit),
      config.lightning_guide ? part_of("guide.", config.lightning_guide)
                             : part_of("guide.", config.guide)};
  for (const auto& [name, shape] : shapes) {
    if (name == kLatentMean || name == kLatentVar) {
      if (!(shape == config.latent_shape()))
        raise<ShapeError>(origin, ": tensor ", name, ": expected ", config.latent_shape(), ", got ",
                          shape);
      continue;
    }
    Part* part = nullptr;
    for (Part& candidate : parts)
      if (name.starts_with(candidate.prefix)) part = &candidate;
    if (part == nullptr)
      raise<FormatError>(origin, ": no part of a model has a tensor named ", name);
    if (part->expected == 0)
      raise<FormatError>(origin, ": has a tensor ", name,
                         ", but its configuration has no such part");
    part->found += shape.numel();
  }
  for (const Part& part : parts) {
    if (part.found == 0 && !part.required) continue;
    if (packed ? part.found < least_packed_elements(*packed, part.expected)
               : part.found != part.expected)
      raise<FormatError>(origin, ": the tensors ", part.prefix, "* have ", part.found,
                         " elements, the configuration needs ", part.expected);
  }
}

void require_free_notes(std::string_view where, const std::map<std::string, std::string>& notes) {
  for (const std::string_view key : {kConfigKey, kPackedKey})
    if (notes.count(std::string(key)) != 0)
      raise<ArgumentError>(where, ": the note '", key, "' is reserved");
}

void require_values(const std::string& origin, const std::string& name,
                    const Tensor<float>& tensor) {
  if (!all_finite(tensor.span()))
    raise<FormatError>(origin, ": tensor ", name, " holds NaN or infinity");
  if (name != kLatentVar) return;
  for (const float value : tensor.span())
    if (value < 0) raise<FormatError>(origin, ": tensor ", name, " holds a negative variance");
}

}  // namespace rae::detail
