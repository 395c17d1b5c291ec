#include "tool/sensitivity_cache.hpp"

#include <cstdio>
#include <filesystem>
#include <iterator>

#include "io/deflate.hpp"
#include "rae/io/file.hpp"
#include "rae/kernels/isa.hpp"
#include "rae/spec/weight_types.hpp"
#include "tool/bulk_sampling.hpp"

namespace rae::tool {
namespace {

constexpr const char* kFormat = "rae sensitivities 1";

std::string checksum_of(const CalibrationData& data) {
  std::uint32_t sum = 0;
  for (const Tensor<float>* tensor : {&data.latents, &data.images})
    if (!tensor->empty()) sum = detail::crc32_of(std::as_bytes(tensor->span()), sum);
  sum = detail::crc32_of(std::as_bytes(std::span(data.labels)), sum);
  char text[9];
  std::snprintf(text, sizeof text, "%08x", sum);
  return text;
}

}  // namespace

ConfigNode sensitivity_key(const ModelFiles& files, const CalibrationData& data) {
  return ConfigNode::map({{"model", fingerprint(files)},
                          {"autoencoder", autoencoder_fingerprint(files)},
                          {"kernels", name_of(active_isa())},
                          {"calibration", checksum_of(data)},
                          {"seed", std::to_string(data.seed)}});
}

std::string sensitivity_file(const std::string& model) {
  std::string name = model;
  while (name.size() > 1 && name.ends_with('/')) name.pop_back();  // a folder
  return name + ".sensitivities.json";
}

std::optional<std::vector<LayerSensitivity>> read_sensitivities(const std::string& path,
                                                                const ConfigNode& key) {
  std::error_code none;
  if (!std::filesystem::exists(path, none)) return std::nullopt;
  try {
    const ConfigNode all = ConfigNode::load(path);
    if (all.get_or("format", "") != kFormat || !(all.at("of") == key)) return std::nullopt;
    std::vector<LayerSensitivity> out;
    for (const auto& [name, errors] : all.at("layers").members()) {
      LayerSensitivity layer{name, {}};
      for (const DType type : kWeightTypes)
        layer.errors.push_back(errors.get<double>(name_of(type)));
      out.push_back(std::move(layer));
    }
    return out;
  } catch (const ConfigError& error) {
    raise<FormatError>(error.what(), "; remove the file, and it is written again");
  }
}

void write_sensitivities(const std::string& path, const ConfigNode& key,
                         const std::vector<LayerSensitivity>& sensitivities) {
  ConfigNode layers = ConfigNode::map();
  for (const LayerSensitivity& layer : sensitivities) {
    ConfigNode errors = ConfigNode::map();
    for (std::size_t i = 0; i < std::size(kWeightTypes); ++i)
      errors.set(name_of(kWeightTypes[i]), layer.errors[i]);
    layers.set(layer.name, errors);
  }
  const ConfigNode all = ConfigNode::map({{"format", kFormat}, {"of", key}, {"layers", layers}});
  write_file_atomically(path, all.to_json(2) + "\n");
}

}  // namespace rae::tool
