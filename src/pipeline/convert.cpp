#include "rae/pipeline/convert.hpp"

#include <utility>

#include "pipeline/bundle_parts.hpp"
#include "pipeline/model_parts.hpp"
#include "rae/io/safetensors_writer.hpp"

namespace rae {

using detail::ModelPart;

void save_bundle(const ModelFiles& files, const std::string& path, DType stored_as, const std::map<std::string, std::string>& notes) {
  detail::require_float(stored_as);
  if (notes.count(std::string(detail::kConfigKey)) != 0) raise<ArgumentError>("save_bundle: the note 'config' is reserved");
  const std::vector<ModelPart> parts = detail::parts_of(files);
  if (parts.empty()) raise<ArgumentError>(files.origin, ": there is nothing to write");
  ModelConfig config = files.config;
  if (!files.decoder) config.decoder.reset();
  if (!files.dit) {
    config.dit.reset();
    config.lightning_dit.reset();
  }
  if (!files.guide) {
    config.guide.reset();
    config.lightning_guide.reset();
    config.sampling.autoguidance.reset();
  }
  const LatentNorm<float> norm = detail::with_official_eps(files.latent_norm, files.origin);
  std::map<std::string, std::string> metadata = notes;
  metadata.emplace(detail::kConfigKey, to_config(config).to_json());
  std::map<std::string, Shape> shapes;
  std::vector<SafetensorsSlot> slots;
  const auto add = [&](const std::string& name, const Shape& shape, bool delicate) {
    shapes.emplace(name, shape);
    slots.push_back({name, delicate ? DType::f32 : stored_as, shape});
  };
  for (const ModelPart& part : parts)
    for (const auto& [name, shape, use] : part.parameters) add(part.prefix + name, shape, shape.rank() <= 1);
  if (!norm.mean.empty()) add(std::string(detail::kLatentMean), norm.mean.shape(), true);
  if (!norm.var.empty()) add(std::string(detail::kLatentVar), norm.var.shape(), true);
  // What is written can be read again.
  (void)detail::bundle_config(files.origin, metadata);
  detail::require_parts(files.origin, config, shapes);

  SafetensorsWriter writer(path, std::move(slots), metadata);
  for (const ModelPart& part : parts)
    for (const ParameterShape& parameter : part.parameters)
      writer.write(detail::read_parameter(part, parameter, parameter.shape.rank() <= 1 ? DType::f32 : stored_as));
  for (const auto& [name, tensor] : {std::pair(detail::kLatentMean, &norm.mean), std::pair(detail::kLatentVar, &norm.var)}) {
    if (tensor->empty()) continue;
    detail::require_values(files.origin, std::string(name), *tensor);
    writer.write(*tensor);
  }
  writer.commit();
}

}  // namespace rae
