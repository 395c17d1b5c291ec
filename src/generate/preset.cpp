#include "rae/generate/preset.hpp"

#include <algorithm>

namespace rae {
namespace {

struct PresetSettings {
  index_t steps;
  Solver solver;
  double reuse_error;
};

PresetSettings settings_of(Preset preset) {
  return preset == Preset::fast ? PresetSettings{12, Solver::ab2, 0.1}
                                : PresetSettings{16, Solver::ab2, 0};
}

/// The value of `steps` that makes this number of steps.
index_t steps_option(index_t steps, TimeGridKind grid) {
  return grid == TimeGridKind::official ? steps + 1 : steps;
}

}  // namespace

Preset parse_preset(std::string_view name) {
  for (const Preset preset : {Preset::exact, Preset::balanced, Preset::fast})
    if (name == name_of(preset)) return preset;
  raise<ArgumentError>("unknown preset '", name, "': expected exact, balanced or fast");
}

void apply_preset(Preset preset, const ModelConfig& model, GenerateOptions& options) {
  if (preset == Preset::exact) return;
  const PresetSettings settings = settings_of(preset);
  const SamplingDefaults& defaults = model.sampling;
  if (!options.kind) options.kind = SamplerKind::ode;
  if (options.steps == 0)
    options.steps = std::min(defaults.steps,
                             steps_option(settings.steps, options.grid.value_or(defaults.grid)));
  if (!options.solver) options.solver = settings.solver;
  if (options.reuse_error == 0 && model.dit && model.dit->has_head())
    options.reuse_error = settings.reuse_error;
}

std::string describe(Preset preset, const ModelConfig& model) {
  GenerateOptions options;
  apply_preset(preset, model, options);
  const SamplingDefaults& defaults = model.sampling;
  const bool sde = options.kind.value_or(defaults.kind) == SamplerKind::sde;
  const index_t points = options.steps > 0 ? options.steps : defaults.steps;
  std::string out =
      concat(defaults.grid == TimeGridKind::official ? points - 1 : points, " steps of ",
             sde ? concat("sde_", name_of(defaults.sde.solver))
                 : std::string(name_of(options.solver.value_or(defaults.solver))));
  if (options.reuse_error > 0) out += concat(", reuse of the backbone up to ", options.reuse_error);
  return out;
}

}  // namespace rae
