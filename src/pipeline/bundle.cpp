#include "rae/pipeline/bundle.hpp"

#include <array>
#include <set>

#include "io/suggestion.hpp"
#include "rae/io/safetensors.hpp"

namespace rae {
namespace {

constexpr std::string_view kConfigKey = "config";
constexpr std::string_view kMean = "latent_norm.mean", kVar = "latent_norm.var";

bool begins_with(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

/// Elements that a part of the configuration needs; absent parts may have none.
struct Part {
  std::string_view prefix;
  index_t expected;
  bool required;
  index_t found = 0;
};

/// The tensors must be those of the configuration's parts, no more and no less. Their exact shapes are compared when a model is filled;
/// here it is enough that a model of this configuration takes no more memory than the file has.
void require_parts(const std::string& origin, const ModelConfig& config, const std::map<std::string, Shape>& shapes) {
  std::array<Part, 3> parts{Part{"encoder.", parameter_count(config.encoder), false},
                            Part{"decoder.", config.decoder ? parameter_count(*config.decoder) : 0, config.decoder.has_value()},
                            Part{"dit.", config.dit ? parameter_count(*config.dit) : 0, config.dit.has_value()}};
  for (const auto& [name, shape] : shapes) {
    if (name == kMean || name == kVar) {
      if (!(shape == config.latent_shape()))
        raise<ShapeError>(origin, ": tensor ", name, ": expected ", config.latent_shape(), ", got ", shape);
      continue;
    }
    Part* part = nullptr;
    for (Part& candidate : parts)
      if (begins_with(name, candidate.prefix)) part = &candidate;
    if (part == nullptr) raise<FormatError>(origin, ": no part of a model has a tensor named ", name);
    if (part->expected == 0) raise<FormatError>(origin, ": has a tensor ", name, ", but its configuration has no such part");
    part->found += shape.numel();
  }
  for (const Part& part : parts) {
    if (part.found == 0 && !part.required) continue;
    if (part.found != part.expected)
      raise<FormatError>(origin, ": the tensors ", part.prefix, "* have ", part.found, " elements, the configuration needs ",
                         part.expected);
  }
}

void require_values(const std::string& origin, const std::string& name, const Tensor<float>& tensor) {
  if (!all_finite(tensor.span())) raise<FormatError>(origin, ": tensor ", name, " holds NaN or infinity");
  if (name != kVar) return;
  for (const float value : tensor.span())
    if (value < 0) raise<FormatError>(origin, ": tensor ", name, " holds a negative variance");
}

std::map<std::string, Shape> shapes_of(const std::map<std::string, Tensor<float>>& tensors) {
  std::map<std::string, Shape> out;
  for (const auto& [name, tensor] : tensors) out.emplace(name, tensor.shape());
  return out;
}

}  // namespace

void Bundle::store_latent_norm(const LatentNorm<float>& norm) {
  remove("latent_norm.");
  if (!norm.mean.empty()) tensors.insert_or_assign(std::string(kMean), norm.mean);
  if (!norm.var.empty()) tensors.insert_or_assign(std::string(kVar), norm.var);
}

LatentNorm<float> Bundle::latent_norm() const {
  LatentNorm<float> norm;
  if (has(std::string(kMean))) norm.mean = tensor(std::string(kMean), config.latent_shape());
  if (has(std::string(kVar))) norm.var = tensor(std::string(kVar), config.latent_shape());
  return norm;
}

const Tensor<float>& Bundle::tensor(const std::string& name, const Shape& expected) const {
  const auto found = tensors.find(name);
  if (found == tensors.end()) {
    std::vector<std::string> names;
    for (const auto& entry : tensors) names.push_back(entry.first);
    raise<FormatError>(origin, ": the tensor ", name, " is missing", detail::suggestion(name, names));
  }
  if (!(found->second.shape() == expected))
    raise<ShapeError>(origin, ": tensor ", name, ": expected ", expected, ", got ", found->second.shape());
  return found->second;
}

bool Bundle::has(const std::string& prefix) const {
  const auto first = tensors.lower_bound(prefix);
  return first != tensors.end() && begins_with(first->first, prefix);
}

void Bundle::remove(const std::string& prefix) {
  auto first = tensors.lower_bound(prefix);
  while (first != tensors.end() && begins_with(first->first, prefix)) first = tensors.erase(first);
}

void Bundle::check() const {
  (void)parse_model_config(ConfigNode::parse_json(to_config(config).to_json(), origin + ": config"));
  require_parts(origin, config, shapes_of(tensors));
  for (const auto& [name, tensor] : tensors) require_values(origin, name, tensor);
}

Bundle Bundle::load(const std::string& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const auto text = file.metadata().find(std::string(kConfigKey));
  if (text == file.metadata().end())
    raise<FormatError>(path, ": is no bundle: its metadata have no key '", kConfigKey, "'; weights without a configuration cannot be used");
  Bundle out;
  out.origin = path;
  out.config = parse_model_config(ConfigNode::parse_json(text->second, path + ": config"));
  std::map<std::string, Shape> shapes;
  for (const std::string& name : file.names()) shapes.emplace(name, file.info(name).shape);
  require_parts(path, out.config, shapes);
  for (const std::string& name : file.names()) {
    Tensor<float> tensor = file.read<float>(name);
    require_values(path, name, tensor);
    out.tensors.emplace(name, std::move(tensor));
  }
  out.notes = file.metadata();
  out.notes.erase(std::string(kConfigKey));
  return out;
}

void Bundle::save(const std::string& path, DType stored_as) const {
  if (notes.count(std::string(kConfigKey)) != 0) raise<ArgumentError>("Bundle::save: the note '", kConfigKey, "' is reserved");
  check();
  std::map<std::string, std::string> metadata = notes;
  metadata.emplace(kConfigKey, to_config(config).to_json());
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, tensor] : tensors) {
    const bool delicate = tensor.rank() <= 1 || name == kMean || name == kVar;
    entries.push_back({name, tensor, delicate ? DType::f32 : stored_as});
  }
  write_safetensors(path, entries, metadata);
}

}  // namespace rae
