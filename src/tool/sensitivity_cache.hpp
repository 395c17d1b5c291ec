// The sensitivities of a model's layers in a file beside the model, so that they are measured once.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rae/formats/model_files.hpp"
#include "rae/generate/sensitivity.hpp"

namespace rae::tool {

/// Everything on which sensitivities depend. Two of them are equal exactly if the values are valid
/// for both.
[[nodiscard]] ConfigNode sensitivity_key(const ModelFiles& files, const CalibrationData& data);

/// "MODEL.sensitivities.json", the file beside a model.
[[nodiscard]] std::string sensitivity_file(const std::string& model);

/// The sensitivities in a file; absent when there is no file, or it has those of another key.
/// Throws FormatError for a damaged file.
[[nodiscard]] std::optional<std::vector<LayerSensitivity>> read_sensitivities(
    const std::string& path, const ConfigNode& key);

/// Writes the file, whole or not at all. Throws FileError.
void write_sensitivities(const std::string& path, const ConfigNode& key,
                         const std::vector<LayerSensitivity>& sensitivities);

}  // namespace rae::tool
