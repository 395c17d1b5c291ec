// Finds models by their names, such as the built-in one.
#pragma once

#include <string>
#include <vector>

namespace rae {

/// Name of the model that `Generator::builtin()` loads.
inline constexpr const char* kBuiltinModel = "fashion-mnist";

/// The folders of models that are searched, in this order: the one in the environment variable
/// RAE_MODELS; those of the installed tree of the library and of the program, which may have been
/// moved; that of the installation prefix; that of the source tree from which the library was
/// built.
[[nodiscard]] std::vector<std::string> model_folders();

/// Path of NAME.safetensors in the first folder that has it. Throws FileError, which lists the
/// folders.
[[nodiscard]] std::string find_model(const std::string& name = kBuiltinModel);

}  // namespace rae
