#include "rae/load/model_search.hpp"

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "rae/error.hpp"

namespace rae {

std::vector<std::string> model_folders() {
  std::vector<std::string> out;
  if (const char* folder = std::getenv("RAE_MODELS"); folder != nullptr && *folder != '\0')
    out.emplace_back(folder);
  out.emplace_back(RAE_INSTALL_MODEL_DIR);
  out.emplace_back(RAE_SOURCE_MODEL_DIR);
  return out;
}

std::string find_model(const std::string& name) {
  std::string searched;
  for (const std::string& folder : model_folders()) {
    const std::filesystem::path path = std::filesystem::path(folder) / (name + ".safetensors");
    std::error_code ignored;
    if (std::filesystem::is_regular_file(path, ignored)) return path.string();
    searched += "\n  " + path.string();
  }
  raise<FileError>("the model '", name, "' was not found; looked for", searched,
                   "\nset RAE_MODELS to the folder that has it, give a path, or train one: rae "
                   "train --recipe RECIPE.yaml --data DIR --out DIR");
}

}  // namespace rae
