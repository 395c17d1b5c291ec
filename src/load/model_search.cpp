#include "rae/load/model_search.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "rae/error.hpp"

namespace rae {
namespace {

namespace fs = std::filesystem;

/// The folder of models beside an installed file: `file` is in a folder of the installed tree from
/// which `way` leads to the models. Empty where there is no such folder.
std::string models_beside(const fs::path& file, const char* way) {
  std::error_code ignored;
  const fs::path real = fs::canonical(file, ignored);
  if (real.empty()) return {};
  const fs::path folder = (real.parent_path() / way).lexically_normal();
  return fs::is_directory(folder, ignored) ? folder.string() : std::string();
}

/// The file that holds this function: the shared library, or the program with the static one.
fs::path file_of_this_code() {
  Dl_info info{};
  const void* here = reinterpret_cast<const void*>(&models_beside);
  return dladdr(here, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : "";
}

}  // namespace

std::vector<std::string> model_folders() {
  std::vector<std::string> out;
  const auto add = [&](std::string folder) {
    if (!folder.empty() && std::find(out.begin(), out.end(), folder) == out.end())
      out.push_back(std::move(folder));
  };
  if (const char* folder = std::getenv("RAE_MODELS"); folder != nullptr) add(folder);
  add(models_beside(file_of_this_code(), RAE_MODELS_FROM_LIBRARY));
  add(models_beside("/proc/self/exe", RAE_MODELS_FROM_PROGRAM));
  add(RAE_INSTALL_MODEL_DIR);
  add(RAE_SOURCE_MODEL_DIR);
  return out;
}

std::string find_model(const std::string& name) {
  std::string searched;
  for (const std::string& folder : model_folders()) {
    const fs::path path = fs::path(folder) / (name + ".safetensors");
    std::error_code ignored;
    if (fs::is_regular_file(path, ignored)) return path.string();
    searched += "\n  " + path.string();
  }
  raise<FileError>("the model '", name, "' was not found; looked for", searched,
                   "\nset RAE_MODELS to the folder that has it, give a path, or train one: rae "
                   "train --recipe RECIPE.yaml --data DIR --out DIR");
}

}  // namespace rae
