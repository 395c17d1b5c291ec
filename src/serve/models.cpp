#include "serve/models.hpp"

#include <algorithm>

#include "rae/generate/preset.hpp"

namespace rae::serve {
namespace {

bool is_model_name(const std::string& name) {
  constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !name.empty() && name.find_first_not_of(kLetters) == std::string::npos;
}

ConfigNode description_of(const ServedModel& model) {
  const ModelConfig& config = model.generator.config();
  const Shape picture = config.image_shape(), latent = config.latent_shape();
  ConfigNode::List classes;
  for (const auto& name : model.generator.class_names()) classes.emplace_back(name);
  ConfigNode presets = ConfigNode::map();
  for (const Preset preset : {Preset::exact, Preset::balanced, Preset::fast})
    presets.set(name_of(preset), describe(preset, config));
  const SamplingDefaults& sampling = config.sampling;
  const double guidance = static_cast<double>(sampling.autoguidance ? sampling.autoguidance->scale
                                                                    : sampling.guidance.scale);
  return ConfigNode::map(
      {{"name", model.name},
       {"title", config.name},
       {"num_classes", model.generator.num_classes()},
       {"classes", ConfigNode::list(std::move(classes))},
       {"image",
        ConfigNode::map({{"channels", picture[0]}, {"height", picture[1]}, {"width", picture[2]}})},
       {"latent", ConfigNode::list({latent[0], latent[1], latent[2]})},
       {"steps", sampling.steps},
       {"guidance", guidance},
       {"presets", std::move(presets)},
       {"encodes", model.encoder.has_value()},
       {"dtype", model.generator.type_name()}});
}

}  // namespace

void Models::add(const std::string& name, ModelFiles files, const LoadOptions& load) {
  if (!is_model_name(name))
    raise<ArgumentError>("expected a name of letters, digits, '.', '_' and '-' for a model, got '",
                         name, "'");
  const auto same = [&](const ServedModel& model) { return model.name == name; };
  if (std::any_of(models_.begin(), models_.end(), same))
    raise<ArgumentError>("two models have the name '", name, "'");
  ServedModel model{name, Generator(files, load), std::nullopt};
  if (files.encoder) {
    files.decoder.reset();  // the generator has it
    model.encoder.emplace(files, load);
  }
  models_.push_back(std::move(model));
}

const ServedModel& Models::find(std::string_view name) const {
  std::string names;
  for (const ServedModel& model : models_) {
    if (name.empty() || model.name == name) return model;
    names += (names.empty() ? "" : ", ") + model.name;
  }
  raise<UnknownModel>("unknown model '", name, "'; this server has ", names);
}

ConfigNode Models::description() const {
  ConfigNode::List all;
  for (const ServedModel& model : models_) all.push_back(description_of(model));
  return ConfigNode::map({{"models", ConfigNode::list(std::move(all))}});
}

}  // namespace rae::serve
