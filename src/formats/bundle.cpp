#include "rae/formats/bundle.hpp"

#include <map>

#include "formats/bundle_layout.hpp"
#include "formats/grouped_weights.hpp"
#include "formats/packed_weights.hpp"
#include "io/suggestion.hpp"
#include "rae/core/owner.hpp"
#include "rae/io/safetensors.hpp"

namespace rae {
namespace {

using detail::kConfigKey;

constexpr std::string_view kMean = detail::kLatentMean, kVar = detail::kLatentVar;

bool begins_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

/// The type of a tensor in a file whose weights are `stored_as`.
DType stored_type(const std::string& name, const Tensor<float>& tensor, DType stored_as) {
  return tensor.rank() <= 1 || name == kMean || name == kVar ? DType::f32 : stored_as;
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

Rae<float> Bundle::autoencoder() const {
  OwnedPointer<EncoderNetwork<Tensor<float>>> encoder;
  if (has(NetworkRole::encoder)) {
    encoder = config.encoder.make();
    restore(detail::prefix_of(NetworkRole::encoder), *encoder);
  }
  OwnedPointer<Decoder<Tensor<float>>> decoder;
  if (config.decoder && has(NetworkRole::decoder)) {
    decoder = OwnedPointer<Decoder<Tensor<float>>>::make(*config.decoder);
    restore(detail::prefix_of(NetworkRole::decoder), *decoder);
  }
  RaeSettings<float> settings{0, 0, config.pixels, latent_norm(), config.decoder_output};
  if (config.encoder_size > 0) {
    const Shape input = config.encoder_input_shape();  // (channels, H, W)
    settings.encoder_height = input[1];
    settings.encoder_width = input[2];
  }
  return {std::move(encoder), std::move(decoder), std::move(settings)};
}

const Tensor<float>& Bundle::tensor(const std::string& name, const Shape& expected) const {
  const auto found = tensors.find(name);
  if (found == tensors.end()) {
    std::vector<std::string> names;
    for (const auto& entry : tensors) names.push_back(entry.first);
    raise<FormatError>(origin, ": the tensor ", name, " is missing",
                       detail::suggestion(name, names));
  }
  if (!(found->second.shape() == expected))
    raise<ShapeError>(origin, ": tensor ", name, ": expected ", expected, ", got ",
                      found->second.shape());
  return found->second;
}

ModelFiles Bundle::files() const {
  const TensorSource source(tensors, origin);
  ModelFiles out;
  out.config = config;
  out.origin = origin;
  out.latent_norm = latent_norm();
  for (const NetworkRole role : kNetworkRoles)
    if (has(role)) out.network(role) = TensorGroup{source.under(detail::prefix_of(role)), {}};
  return out;
}

bool Bundle::has(NetworkRole role) const {
  return has(detail::prefix_of(role)) || detail::needs_no_tensors(config, role);
}

bool Bundle::has(const std::string& prefix) const {
  const auto first = tensors.lower_bound(prefix);
  return first != tensors.end() && begins_with(first->first, prefix);
}

void Bundle::remove(const std::string& prefix) {
  auto first = tensors.lower_bound(prefix);
  while (first != tensors.end() && begins_with(first->first, prefix)) first = tensors.erase(first);
}

void Bundle::round(const std::string& prefix, DType stored_as) {
  for (auto at = tensors.lower_bound(prefix); at != tensors.end() && begins_with(at->first, prefix);
       ++at) {
    const DType type = stored_type(at->first, at->second, stored_as);
    if (type == DType::bf16) at->second = convert<float>(convert<bf16>(at->second));
    if (type == DType::f16) at->second = convert<float>(convert<f16>(at->second));
  }
}

void Bundle::check() const {
  validate(config, ConfigPlace(origin));
  detail::require_tensors(origin, config, shapes_of(tensors));
  for (const auto& [name, tensor] : tensors) detail::require_values(origin, name, tensor);
}

Bundle Bundle::load(const std::string& path) {
  const SafetensorsFile stored = SafetensorsFile::open(path);
  Bundle out;
  out.origin = path;
  out.config = detail::bundle_config(path, stored.metadata());
  if (detail::packed_for(path, stored.metadata()))
    raise<FormatError>(path,
                       ": its weights are packed for the kernels of one machine; use the bundle "
                       "that it was packed from");
  for (const auto& [name, reason] : stored.unreadable()) (void)stored.info(name);  // throws
  const TensorSource file = detail::with_whole_weights(stored);
  std::map<std::string, Shape> shapes;
  for (const std::string& name : file.names()) shapes.emplace(name, file.info(name).shape);
  detail::require_tensors(path, out.config, shapes);
  for (const std::string& name : file.names()) {
    Tensor<float> tensor = file.read<float>(name);  // info(name).shape
    detail::require_values(path, name, tensor);
    out.tensors.emplace(name, std::move(tensor));
  }
  out.notes = stored.metadata();
  out.notes.erase(std::string(kConfigKey));
  return out;
}

void Bundle::save(const std::string& path, DType stored_as) const {
  detail::require_free_notes("Bundle::save", notes);
  check();
  std::map<std::string, std::string> metadata = notes;
  metadata.emplace(kConfigKey, to_config(config).to_json());
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, tensor] : tensors)
    entries.push_back({name, tensor, stored_type(name, tensor, stored_as)});
  write_safetensors(path, entries, metadata);
}

}  // namespace rae
