// Opens the models that command lines name.
#include "tool/model.hpp"

#include <cstdio>
#include <map>

#include "rae/io/safetensors.hpp"
#include "rae/load/model_search.hpp"
#include "tool/model_source.hpp"
#include "tool/text.hpp"

namespace rae::tool {

std::string model_path(const std::string& model) {
  return model == "builtin" ? find_model() : model;
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

void write_tensor(const std::string& path, const std::string& name, const Tensor<float>& tensor,
                  const std::map<std::string, std::string>& text) {
  const SafetensorsEntry entry{name, tensor};
  write_safetensors(path, {&entry, 1}, text);
}

}  // namespace rae::tool
