#include "rae/formats/model_files.hpp"

#include <map>

#include "formats/bundle_layout.hpp"
#include "formats/grouped_weights.hpp"
#include "formats/packed_weights.hpp"

namespace rae {
namespace {

bool has(const TensorSource& tensors, std::string_view prefix) {
  for (const std::string& name : tensors.names())
    if (name.starts_with(prefix)) return true;
  return false;
}

/// The mean or variance of the latents, (C, h, w); empty when there is none.
Tensor<float> statistic(const TensorSource& tensors, std::string_view name) {
  if (!tensors.contains(name)) return {};
  Tensor<float> out = tensors.read<float>(name);  // (C, h, w)
  detail::require_values(tensors.origin(), std::string(name), out);
  return out;
}

}  // namespace

std::optional<TensorGroup>& ModelFiles::network(NetworkRole role) {
  switch (role) {
    case NetworkRole::decoder: return decoder;
    case NetworkRole::dit: return dit;
    case NetworkRole::guide: return guide;
    default: return encoder;
  }
}

const std::optional<TensorGroup>& ModelFiles::network(NetworkRole role) const {
  return const_cast<ModelFiles&>(*this).network(role);
}

ModelFiles ModelFiles::open(const std::string& path) {
  const TensorSource tensors = detail::with_whole_weights(TensorSource::open(path));
  ModelFiles out;
  out.origin = path;
  out.config = detail::bundle_config(path, tensors.metadata());
  out.packed = detail::packed_for(path, tensors.metadata());
  out.layer_types = detail::layer_types_of(path, tensors.metadata());
  std::map<std::string, Shape> shapes;
  for (const auto& [name, reason] : tensors.unreadable()) (void)tensors.info(name);  // throws
  for (const std::string& name : tensors.names()) shapes.emplace(name, tensors.info(name).shape);
  detail::require_tensors(path, out.config, shapes, out.packed);
  for (const NetworkRole role : kNetworkRoles)
    if (const std::string prefix = detail::prefix_of(role);
        has(tensors, prefix) || detail::needs_no_tensors(out.config, role))
      out.network(role) = TensorGroup{tensors.under(prefix), {}};
  out.latent_norm.mean = statistic(tensors, detail::kLatentMean);
  out.latent_norm.var = statistic(tensors, detail::kLatentVar);
  return out;
}

}  // namespace rae
