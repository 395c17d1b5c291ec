// The sections of official configurations that only training uses.
#pragma once

#include "formats/official/values.hpp"
#include "rae/formats/official/config.hpp"

namespace rae::official {

/// Section `training` of a configuration that trains the diffusion transformer (`stage_2`), or of
/// one that trains the decoder. Adds remarks to `notes`. Throws ConfigError, as the other functions
/// do.
[[nodiscard]] OfficialTraining parse_training(const ConfigNode& node, bool stage_2, Notes& notes);
/// Section `gan`.
[[nodiscard]] OfficialGan parse_gan(const ConfigNode& node);
/// Section `eval`.
[[nodiscard]] OfficialEval parse_eval(const ConfigNode& node);

}  // namespace rae::official
