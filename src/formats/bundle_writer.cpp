#include "rae/formats/bundle_writer.hpp"

#include <map>
#include <utility>

#include "formats/bundle_layout.hpp"
#include "formats/packed_weights.hpp"
#include "formats/stored_network.hpp"
#include "rae/io/safetensors_writer.hpp"
#include "rae/spec/weight_types.hpp"

namespace rae {

using detail::PackedWeight;
using detail::StoredNetwork;

namespace {

/// One parameter of the file, stored as elements or packed.
struct Entry {
  const StoredNetwork* network;
  const ParameterShape* parameter;
  std::optional<PackedWeight> packed;
};

/// The types of the matrices of a packed bundle: one for the model, or one for each matrix.
struct Packing {
  DType dtype;
  LayerTypes types{};
};

/// All parameters. Packed ones come first, so that all panels are aligned to vectors.
std::vector<Entry> entries_of(const std::vector<StoredNetwork>& networks,
                              const std::optional<Packing>& pack) {
  std::vector<Entry> products, others;
  for (const StoredNetwork& network : networks)
    for (const ParameterShape& parameter : network.outline.parameters) {
      const auto& [name, shape, use] = parameter;
      if (pack && use != ParameterUse::elements)
        products.push_back(
            {&network, &parameter,
             PackedWeight{detail::prefix_of(network.role) + name, shape,
                          network.outline.weight_type(pack->dtype, name), panel_columns(use)}});
      else
        others.push_back({&network, &parameter, std::nullopt});
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

FilePlan plan_of(const ModelFiles& files, DType stored_as, const std::optional<Packing>& pack,
                 const std::map<std::string, std::string>& notes) {
  detail::require_float(stored_as);
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
  const auto add = [&](const std::string& name, const Shape& shape, bool exact) {
    shapes.emplace(name, shape);
    out.slots.push_back({name, exact ? DType::f32 : stored_as, shape});
  };
  out.entries = entries_of(out.networks, pack);
  for (const auto& [network, parameter, packed] : out.entries) {
    if (!packed)
      add(detail::prefix_of(network->role) + parameter->name, parameter->shape,
          parameter->shape.rank() <= 1);
    if (packed)
      for (const SafetensorsSlot& slot : packed->slots()) {
        shapes.emplace(slot.name, slot.shape);
        out.slots.push_back(slot);
      }
  }
  if (!out.norm.mean.empty()) add(std::string(detail::kLatentMean), out.norm.mean.shape(), true);
  if (!out.norm.var.empty()) add(std::string(detail::kLatentVar), out.norm.var.shape(), true);
  detail::require_tensors(files.origin, config, shapes,
                          pack ? std::optional(pack->dtype) : std::nullopt);
  return out;
}

void save(const ModelFiles& files, const std::string& path, DType stored_as,
          const std::optional<Packing>& pack, const std::map<std::string, std::string>& notes) {
  FilePlan plan = plan_of(files, stored_as, pack, notes);
  SafetensorsWriter writer(path, std::move(plan.slots), plan.metadata);
  for (const auto& [network, parameter, packed] : plan.entries) {
    const Tensor<float> value = detail::read_parameter(
        *network, *parameter,
        parameter->shape.rank() <= 1 ? DType::f32 : stored_as);  // parameter->shape
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
  save(files, path, stored_as, std::nullopt, notes);
}

void save_packed_bundle(const ModelFiles& files, const std::string& path, DType dtype,
                        const std::map<std::string, std::string>& notes) {
  require_weight_type(dtype);
  save(files, path, DType::f32, Packing{dtype}, notes);
}

void save_packed_bundle(const ModelFiles& files, const std::string& path, const LayerTypes& types,
                        const std::map<std::string, std::string>& notes) {
  save(files, path, DType::f32, packing_with(types), notes);
}

std::uint64_t packed_bundle_bytes(const ModelFiles& files, const LayerTypes& types,
                                  const std::map<std::string, std::string>& notes) {
  const FilePlan plan = plan_of(files, DType::f32, packing_with(types), notes);
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
