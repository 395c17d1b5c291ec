// Finds models by their names: those that are shipped with the library, and others.
#pragma once

#include <string>
#include <vector>

namespace rae {

/// Name of the model that `Generator::builtin()` and the command's `--model builtin` load.
inline constexpr const char* kBuiltinModel = "fashion-mnist";

/// A model that `find_model` finds.
struct NamedModel {
  std::string name;  ///< of its file, without the ending
  std::string path;  ///< of its file
};

/// The folders of models that are searched, in this order: the one in the environment variable
/// RAE_MODELS; those of the installed tree of the library and of the program, which may have been
/// moved; that of the installation prefix; that of the source tree from which the library was
/// built.
[[nodiscard]] std::vector<std::string> model_folders();

/// All files NAME.safetensors in the folders of models: `kBuiltinModel` first if it is there, then
/// the others in the order of their names. Of several files with the same name, that of the first
/// folder. The files are not opened.
[[nodiscard]] std::vector<NamedModel> named_models();

/// Path of NAME.safetensors in the first folder that has it. Throws FileError, which lists the
/// names of the models that exist, and the folders.
[[nodiscard]] std::string find_model(const std::string& name = kBuiltinModel);

}  // namespace rae
