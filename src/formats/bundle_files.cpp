#include "rae/spec/model_files.hpp"

#include "formats/bundle_parts.hpp"
#include "formats/packed_weights.hpp"

namespace rae {
namespace {

bool has(const TensorSource& tensors, std::string_view prefix) {
  for (const std::string& name : tensors.names())
    if (name.starts_with(prefix)) return true;
  return false;
}

Tensor<float> statistic(const TensorSource& tensors, std::string_view name) {
  if (!tensors.contains(name)) return {};
  Tensor<float> out = tensors.read<float>(name);  // (C, h, w)
  detail::require_values(tensors.origin(), std::string(name), out);
  return out;
}

}  // namespace

ModelFiles ModelFiles::open(const std::string& path) {
  const TensorSource tensors = TensorSource::open(path);
  ModelFiles out;
  out.origin = path;
  out.config = detail::bundle_config(path, tensors.metadata());
  out.packed = detail::packed_for(path, tensors.metadata());
  std::map<std::string, Shape> shapes;
  for (const std::string& name : tensors.names()) shapes.emplace(name, tensors.info(name).shape);
  detail::require_parts(path, out.config, shapes, out.packed);
  const auto part = [&](std::string_view prefix) -> std::optional<PartFile> {
    if (!has(tensors, prefix)) return std::nullopt;
    return PartFile{tensors.under(prefix), {}};
  };
  out.encoder = part("encoder.");
  out.decoder = part("decoder.");
  out.dit = part("dit.");
  out.guide = part("guide.");
  out.latent_norm.mean = statistic(tensors, detail::kLatentMean);
  out.latent_norm.var = statistic(tensors, detail::kLatentVar);
  return out;
}

}  // namespace rae
