#include "rae/formats/bundle_writer.hpp"

#include <map>
#include <utility>

#include "formats/bundle_layout.hpp"
#include "formats/grouped_weights.hpp"
#include "formats/packed_weights.hpp"
#include "formats/stored_network.hpp"
#include "rae/io/safetensors_writer.hpp"
#include "rae/spec/weight_types.hpp"

namespace rae {

using detail::PackedWeight;
using detail::StoredNetwork;

namespace {

/// One parameter of the file, stored as elements, as integers in groups (int8w), or packed.
struct Entry {
  const StoredNetwork* network;
  const ParameterShape* parameter;
  DType stored;
  std::optional<PackedWeight> packed;
};

/// The types of the matrices of a packed bundle: one for the model, or one for each matrix.
struct Packing {
  DType dtype;
  LayerTypes types{};
};

/// The type in the file of a parameter that is not packed.
DType stored_type(const StoredNetwork& network, const ParameterShape& parameter,
                  const StoredTypes& types) {
  if (parameter.shape.rank() <= 1) return DType::f32;
  const bool samples = network.role == NetworkRole::dit || network.role == NetworkRole::guide;
  const DType wanted = samples ? types.dit.value_or(types.dtype) : types.dtype;
  if (wanted != DType::int8w) return wanted;
  return parameter.use == ParameterUse::elements
             ? DType::f32
             : network.outline.weight_type(wanted, parameter.name);
}

/// All parameters. Packed ones come first, so that all panels are aligned to vectors.
std::vector<Entry> entries_of(const std::vector<StoredNetwork>& networks, const StoredTypes& types,
                              const std::optional<Packing>& pack) {
  std::vector<Entry> products, others;
  for (const StoredNetwork& network : networks)
    for (const ParameterShape& parameter : network.outline.parameters) {
      const auto& [name, shape, use] = parameter;
      if (pack && use != ParameterUse::elements)
        products.push_back(
            {&network, &parameter, DType::f32,
             PackedWeight{detail::prefix_of(network.role) + name, shape,
                          network.outline.weight_type(pack->dtype, name), panel_columns(use)}});
      else
        others.push_back(
            {&network, &parameter, stored_type(network, parameter, types), std::nullopt});
    }
  products.insert(products.end(), others.begin(), others.end());
  return products;
}

/// Everything about the file of a bundle except the values of its tensors.
struct FilePlan {
  std::vector<StoredNetwork> networks;
  LatentNorm<float> norm;
  std::map<std::string, std::string> metadata;
  std::vector<Entry> entries;  // refer to `networks`
  std::vector<SafetensorsSlot> slots;

  FilePlan() = default;
  FilePlan(FilePlan&&) = default;
};

FilePlan plan_of(const ModelFiles& files, const StoredTypes& types,
                 const std::optional<Packing>& pack,
                 const std::map<std::string, std::string>& notes) {
  for (const DType type : {types.dtype, types.dit.value_or(types.dtype)})
    if (type != DType::int8w) detail::require_float(type);
  detail::require_free_notes("save_bundle", notes);
  FilePlan out;
  out.networks = detail::stored_networks(files);
  if (out.networks.empty()) raise<ArgumentError>(files.origin, ": there is nothing to write");
  if (pack)
    for (StoredNetwork& network : out.networks)
      network.outline = outline_of(files.config, network.role, pack->types);
  ModelConfig config = files.config;
  if (!files.decoder) config.decoder.reset();
  if (!files.dit) config.dit.reset();
  if (!files.guide) {
    config.guide.reset();
    config.sampling.autoguidance.reset();
  }
  validate(config, ConfigPlace(files.origin));
  out.norm = detail::with_official_eps(files.latent_norm, files.origin);
  out.metadata = notes;
  out.metadata.emplace(detail::kConfigKey, to_config(config).to_json());
  if (pack && pack->types.empty()) out.metadata.emplace(detail::kPackedKey, name_of(pack->dtype));
  if (pack && !pack->types.empty()) {
    out.metadata.emplace(detail::kPackedKey, detail::kMixed);
    out.metadata.emplace(detail::kLayerTypesKey, detail::to_json(pack->types));
  }
  std::map<std::string, Shape> shapes;
  const auto add = [&](const std::string& name, const Shape& shape, DType stored) {
    shapes.emplace(name, shape);
    if (stored != DType::int8w) return out.slots.push_back({name, stored, shape});
    for (SafetensorsSlot& slot : detail::grouped_slots(name, shape))
      out.slots.push_back(std::move(slot));
  };
  out.entries = entries_of(out.networks, types, pack);
  for (const auto& [network, parameter, stored, packed] : out.entries) {
    if (!packed) add(detail::prefix_of(network->role) + parameter->name, parameter->shape, stored);
    if (packed)
      for (const SafetensorsSlot& slot : packed->slots()) {
        shapes.emplace(slot.name, slot.shape);
        out.slots.push_back(slot);
      }
  }
  if (!out.norm.mean.empty())
    add(std::string(detail::kLatentMean), out.norm.mean.shape(), DType::f32);
  if (!out.norm.var.empty()) add(std::string(detail::kLatentVar), out.norm.var.shape(), DType::f32);
  detail::require_tensors(files.origin, config, shapes,
                          pack ? std::optional(pack->dtype) : std::nullopt);
  return out;
}

void save(const ModelFiles& files, const std::string& path, const StoredTypes& types,
          const std::optional<Packing>& pack, const std::map<std::string, std::string>& notes) {
  FilePlan plan = plan_of(files, types, pack, notes);
  SafetensorsWriter writer(path, std::move(plan.slots), plan.metadata);
  for (const auto& [network, parameter, stored, packed] : plan.entries) {
    const Tensor<float> value =
        detail::read_parameter(*network, *parameter, stored);  // parameter->shape
    if (stored == DType::int8w) {
      detail::write_grouped(writer, value);
      continue;
    }
    if (packed)
      packed->write(
          writer, PackedMatrix<float>(value.view().transposed(), packed->stored, packed->columns));
    else
      writer.write(value);
  }
  for (const auto& [name, tensor] : {std::pair(detail::kLatentMean, &plan.norm.mean),
                                     std::pair(detail::kLatentVar, &plan.norm.var)}) {
    if (tensor->empty()) continue;
    detail::require_values(files.origin, std::string(name), *tensor);
    writer.write(*tensor);
  }
  writer.commit();
}

/// Throws ArgumentError for no types, which would mean a bundle of one type.
Packing packing_with(const LayerTypes& types) {
  if (types.empty()) raise<ArgumentError>("save_packed_bundle: expected a type for each matrix");
  return {narrowest(types), types};
}

}  // namespace

void save_bundle(const ModelFiles& files, const std::string& path, DType stored_as,
                 const std::map<std::string, std::string>& notes) {
  save(files, path, {stored_as, {}}, std::nullopt, notes);
}

void save_bundle(const ModelFiles& files, const std::string& path, const StoredTypes& types,
                 const std::map<std::string, std::string>& notes) {
  save(files, path, types, std::nullopt, notes);
}

void save_packed_bundle(const ModelFiles& files, const std::string& path, DType dtype,
                        const std::map<std::string, std::string>& notes) {
  require_weight_type(dtype);
  save(files, path, {}, Packing{dtype}, notes);
}

void save_packed_bundle(const ModelFiles& files, const std::string& path, const LayerTypes& types,
                        const std::map<std::string, std::string>& notes) {
  save(files, path, {}, packing_with(types), notes);
}

std::uint64_t packed_bundle_bytes(const ModelFiles& files, const LayerTypes& types,
                                  const std::map<std::string, std::string>& notes) {
  const FilePlan plan = plan_of(files, {}, packing_with(types), notes);
  return safetensors_bytes(plan.slots, plan.metadata);
}

std::vector<PackableLayer> packable_layers(const ModelFiles& files) {
  std::vector<PackableLayer> out;
  for (const StoredNetwork& network : detail::stored_networks(files))
    for (const ParameterShape& parameter : network.outline.parameters) {
      if (parameter.use == ParameterUse::elements) continue;
      PackableLayer layer{
          detail::prefix_of(network.role) + parameter.name, network.role, parameter, {}};
      for (const DType type : kWeightTypes)
        layer.bytes.push_back(
            PackedWeight{layer.name, parameter.shape, type, panel_columns(parameter.use)}.bytes());
      out.push_back(std::move(layer));
    }
  return out;
}

}  // namespace rae
