// Opens models of any supported format: a bundle, an official configuration, or a folder of Hugging
// Face or diffusers.
#pragma once

#include <map>
#include <string>

#include "rae/formats/model_files.hpp"

namespace rae::tool {

/// The formats of a model. `other_diffusers`, another class of diffusers than AutoencoderRAE, is
/// recognised but not supported.
enum class ModelKind { bundle, official, diffusers, encoder, other_diffusers };

/// An opened model.
struct ModelSource {
  ModelKind kind = ModelKind::bundle;
  ModelFiles files;
  std::map<std::string, std::string> notes;  // metadata of a bundle, without its configuration
};

/// The format of a model, from its name and contents: a .yaml file, a folder with a config.json, or
/// a file. Throws FileError.
[[nodiscard]] ModelKind model_kind(const std::string& path);

/// Opens a model. `models_dir` is the folder to search for the files of an official configuration
/// ("": the default). `image_size` is the side of the pictures in pixels, used only if `path` is
/// the folder of an encoder; its grid then has image_size / 16 patches per side. Throws FileError,
/// FormatError, ConfigError, ShapeError, UsageError.
[[nodiscard]] ModelSource open_model_source(const std::string& path, const std::string& models_dir,
                                            index_t image_size = 256);

/// The last component of a path.
[[nodiscard]] std::string base_name(const std::string& path);

}  // namespace rae::tool
