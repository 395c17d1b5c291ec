// Models as people have them: a bundle, an official configuration, or a folder of Hugging Face or
// diffusers.
#pragma once

#include <map>
#include <string>

#include "rae/formats/model_files.hpp"

namespace rae::tool {

/// The kinds of files that a path to a model can name.
enum class ModelKind { bundle, official, diffusers, encoder };

/// A model that was found.
struct ModelSource {
  ModelKind kind = ModelKind::bundle;
  ModelFiles files;
  std::map<std::string, std::string> notes;  // of a bundle
};

/// Tells by name and contents: a .yaml file, a folder with a config.json, or a file. Throws
/// FileError.
[[nodiscard]] ModelKind model_kind(const std::string& path);

/// Opens it. `models_dir` is where an official configuration looks for its files, "" for the
/// default; `image_size` the side of the pictures of a bundle that is made of an encoder alone,
/// whose grid of patches is then a sixteenth of it. Throws FileError, FormatError,
/// ConfigError, ShapeError.
[[nodiscard]] ModelSource open_model_source(const std::string& path, const std::string& models_dir,
                                            index_t image_size = 256);

/// The last part of a path.
[[nodiscard]] std::string base_name(const std::string& path);

}  // namespace rae::tool
