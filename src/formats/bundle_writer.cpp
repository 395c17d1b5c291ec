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

/// All parameters. Packed ones come first, so that all panels are aligned to vectors. `pack`: the
/// type that the model will be loaded as.
std::vector<Entry> entries_of(const std::vector<StoredNetwork>& networks,
                              std::optional<DType> pack) {
  std::vector<Entry> products, others;
  for (const StoredNetwork& network : networks)
    for (const ParameterShape& parameter : network.outline.parameters) {
      const auto& [name, shape, use] = parameter;
      if (pack && use != ParameterUse::elements)
        products.push_back(
            {&network, &parameter,
             PackedWeight{detail::prefix_of(network.role) + name, shape,
                          network.outline.weight_type(*pack, name), panel_columns(use)}});
      else
        others.push_back({&network, &parameter, std::nullopt});
    }
  products.insert(products.end(), others.begin(), others.end());
  return products;
}

void save(const ModelFiles& files, const std::string& path, DType stored_as,
          std::optional<DType> pack, const std::map<std::string, std::string>& notes) {
  detail::require_float(stored_as);
  detail::require_free_notes("save_bundle", notes);
  const std::vector<StoredNetwork> networks = detail::stored_networks(files);
  if (networks.empty()) raise<ArgumentError>(files.origin, ": there is nothing to write");
  ModelConfig config = files.config;
  if (!files.decoder) config.decoder.reset();
  if (!files.dit) config.dit.reset();
  if (!files.guide) {
    config.guide.reset();
    config.sampling.autoguidance.reset();
  }
  validate(config, ConfigPlace(files.origin));
  const LatentNorm<float> norm = detail::with_official_eps(files.latent_norm, files.origin);
  std::map<std::string, std::string> metadata = notes;
  metadata.emplace(detail::kConfigKey, to_config(config).to_json());
  if (pack) metadata.emplace(detail::kPackedKey, name_of(*pack));
  std::map<std::string, Shape> shapes;
  std::vector<SafetensorsSlot> slots;
  const auto add = [&](const std::string& name, const Shape& shape, bool exact) {
    shapes.emplace(name, shape);
    slots.push_back({name, exact ? DType::f32 : stored_as, shape});
  };
  const std::vector<Entry> entries = entries_of(networks, pack);
  for (const auto& [network, parameter, packed] : entries) {
    if (!packed)
      add(detail::prefix_of(network->role) + parameter->name, parameter->shape,
          parameter->shape.rank() <= 1);
    if (packed)
      for (const SafetensorsSlot& slot : packed->slots()) {
        shapes.emplace(slot.name, slot.shape);
        slots.push_back(slot);
      }
  }
  if (!norm.mean.empty()) add(std::string(detail::kLatentMean), norm.mean.shape(), true);
  if (!norm.var.empty()) add(std::string(detail::kLatentVar), norm.var.shape(), true);
  detail::require_tensors(files.origin, config, shapes, pack);

  SafetensorsWriter writer(path, std::move(slots), metadata);
  for (const auto& [network, parameter, packed] : entries) {
    const Tensor<float> value = detail::read_parameter(
        *network, *parameter,
        parameter->shape.rank() <= 1 ? DType::f32 : stored_as);  // parameter->shape
    if (packed)
      packed->write(
          writer, PackedMatrix<float>(value.view().transposed(), packed->stored, packed->columns));
    else
      writer.write(value);
  }
  for (const auto& [name, tensor] :
       {std::pair(detail::kLatentMean, &norm.mean), std::pair(detail::kLatentVar, &norm.var)}) {
    if (tensor->empty()) continue;
    detail::require_values(files.origin, std::string(name), *tensor);
    writer.write(*tensor);
  }
  writer.commit();
}

}  // namespace

void save_bundle(const ModelFiles& files, const std::string& path, DType stored_as,
                 const std::map<std::string, std::string>& notes) {
  save(files, path, stored_as, std::nullopt, notes);
}

void save_packed_bundle(const ModelFiles& files, const std::string& path, DType dtype,
                        const std::map<std::string, std::string>& notes) {
  require_weight_type(dtype);
  save(files, path, DType::f32, dtype, notes);
}

}  // namespace rae
