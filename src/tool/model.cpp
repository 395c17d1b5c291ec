// Opens the models that command lines name.
#include "tool/model.hpp"

#include <cstdio>
#include <filesystem>
#include <map>
#include <utility>

#include "rae/io/safetensors.hpp"
#include "rae/load/model_search.hpp"
#include "rae/spec/auto_dtype.hpp"
#include "tool/model_source.hpp"
#include "tool/text.hpp"

namespace rae::tool {

namespace {

/// The path of a named model, or the text itself if there is no such model or a file has its name.
std::string path_or_named_model(const std::string& model) {
  std::error_code none;
  const bool exists = std::filesystem::exists(model, none);
  const bool builtin = model == kDefaultModel;
  if (!exists && builtin) return find_model();
  for (const NamedModel& named : named_models()) {
    if (named.name != model && !builtin) continue;
    if (!exists) return named.path;
    static std::string noted;
    if (std::exchange(noted, model) != model)
      std::fprintf(stderr,
                   "rae: note: '%s' is the file or folder of this name, not the built-in model\n",
                   printable(model).c_str());
    break;
  }
  return model;
}

}  // namespace

std::string model_path(const std::string& model) {
  const std::string path = path_or_named_model(model);
  std::error_code none;
  // Neither a path nor stdin, and no file: the error lists the names that exist.
  const bool is_name = !model.empty() && model.find_first_of("/.") == std::string::npos &&
                       model != "-" && !std::filesystem::exists(path, none);
  return is_name ? find_model(model) : path;
}

void add_model_options(CLI::App& command, ModelChoice& choice) {
  add_model_option(command, choice.model);
  CLI::Option* config = command
                            .add_option("--config", choice.config,
                                        "an official YAML configuration instead of a bundle")
                            ->type_name("FILE")
                            ->excludes(command.get_option("--model"));
  command
      .add_option("--models", choice.models,
                  "folder to search for the files that --config names, besides its own folder and "
                  "the working folder (default: models)")
      ->type_name("DIR")
      ->needs(config);
  add_dtype_option(command, choice.dtype);
}

void declare_model(CommandFiles& files, ModelChoice& choice) {
  if (choice.config.empty())
    choice.model = files.input_model("--model", model_path(choice.model), choice.models);
  else
    choice.config = files.input_model("--config", choice.config, choice.models);
}

ModelFiles open_model(const ModelChoice& choice, OfficialOptions wanted) {
  if (choice.config.empty())
    return open_model_source(model_path(choice.model), choice.models).files;
  const OfficialConfig config = load_official_config(choice.config);
  // All notes concern the diffusion transformer and its sampling or training.
  for (const auto& note : wanted.dit ? config.notes : std::vector<std::string>{})
    std::fprintf(stderr, "rae: note: %s\n", printable(note).c_str());
  wanted.models_dir = choice.models;
  return open_official(config, wanted);
}

LoadOptions load_options(const ModelChoice& choice, bool keep_loaded) {
  return {
      .keep_loaded = keep_loaded, .dtype = choice.dtype.type, .auto_dtype = choice.dtype.automatic};
}

void prefer_fastest_dtype(ModelChoice& choice) {
  if (choice.dtype.type || choice.dtype.automatic) return;
  if (choice.config.empty() && model_kind(choice.model) == ModelKind::bundle) return;
  choice.dtype.automatic = true;
  if (const DType type = fastest_dtype(); type != DType::f32)
    std::fprintf(
        stderr,
        "rae: note: products of type %s, the fastest on this processor with an error of at "
        "most %g %%; --dtype f32 is exact\n",
        std::string(name_of(type)).c_str(), 100 * kFastestDtypeError);
}

void write_tensor(const std::string& path, const std::string& name, const Tensor<float>& tensor,
                  const std::map<std::string, std::string>& text) {
  const SafetensorsEntry entry{name, tensor};
  write_safetensors(path, {&entry, 1}, text);
}

}  // namespace rae::tool
