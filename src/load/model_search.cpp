#include "rae/load/model_search.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <system_error>

#include "io/suggestion.hpp"
#include "rae/error.hpp"

namespace rae {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEnding = ".safetensors";

/// The folder of models of the installed tree that `file` belongs to, at the path `relative` from
/// the folder of `file`. Empty when there is no such folder.
std::string models_beside(const fs::path& file, const char* relative) {
  std::error_code ignored;
  const fs::path real = fs::canonical(file, ignored);
  if (real.empty()) return {};
  const fs::path folder = (real.parent_path() / relative).lexically_normal();
  return fs::is_directory(folder, ignored) ? folder.string() : std::string();
}

/// The file that contains this function: the shared library, or a program that is linked with the
/// static library.
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

std::vector<NamedModel> named_models() {
  std::map<std::string, std::string> paths;  // by name
  for (const std::string& folder : model_folders()) {
    std::error_code ignored;
    for (fs::directory_iterator at(folder, ignored), end; !ignored && at != end;
         at.increment(ignored)) {
      const fs::path& path = at->path();
      std::error_code none;
      if (path.extension() == kEnding && fs::is_regular_file(path, none))
        paths.emplace(path.stem().string(), path.string());
    }
  }
  std::vector<NamedModel> out;
  if (const auto builtin = paths.extract(kBuiltinModel); !builtin.empty())
    out.push_back({builtin.key(), builtin.mapped()});
  for (const auto& [name, path] : paths) out.push_back({name, path});
  return out;
}

std::string find_model(const std::string& name) {
  std::string searched;
  for (const std::string& folder : model_folders()) {
    const fs::path path = fs::path(folder) / (name + kEnding);
    std::error_code ignored;
    if (fs::is_regular_file(path, ignored)) return path.string();
    searched += "\n  " + path.string();
  }
  std::vector<std::string> names;
  std::string found;
  for (const NamedModel& model : named_models()) {
    names.push_back(model.name);
    found += (found.empty() ? "\nfound models: " : ", ") + model.name;
  }
  raise<FileError>("the model '", name, "' was not found", detail::suggestion(name, names), found,
                   "\nsearched for", searched,
                   "\nset RAE_MODELS to its folder, give its path, or train a model: rae "
                   "train --recipe RECIPE.yaml --data DIR --out DIR");
}

}  // namespace rae
