// Presets: settings of sampling under one name, from the model's own to a quarter of their cost.
// They combine a multistep solver (multistep.hpp) with the reuse of the backbone of DiT^DH (DDT,
// section 3.4).
#pragma once

#include <string>
#include <string_view>

#include "rae/generate/generator.hpp"

namespace rae {

/// `exact` is the model's own settings, which are those of the paper for official configurations.
/// `balanced` and `fast` need fewer evaluations of the network.
enum class Preset { exact, balanced, fast };

/// Lower-case name.
constexpr std::string_view name_of(Preset preset) noexcept {
  constexpr std::string_view kNames[] = {"exact", "balanced", "fast"};
  return kNames[static_cast<std::size_t>(preset)];
}
/// Inverse of `name_of`. Throws ArgumentError.
[[nodiscard]] Preset parse_preset(std::string_view name);

/// Sets the settings of the preset for this model, except those that the options already have:
/// the steps, the deterministic sampler and its solver, and for a network with a head the reuse of
/// its backbone. A preset never takes more steps than the model's own settings.
void apply_preset(Preset preset, const ModelConfig& model, GenerateOptions& options);

/// The settings of the preset for this model in words, such as "16 steps of ab2".
[[nodiscard]] std::string describe(Preset preset, const ModelConfig& model);

}  // namespace rae
