// Configurations of RAEv2, the second version of the official code. Source: src/configs and
// configs/ of nanovisionx/RAEv2.
#pragma once

#include <string>

#include "rae/formats/official/config.hpp"

namespace rae::official {

/// True when the configuration has a key, or a class, that only RAEv2 has.
[[nodiscard]] bool is_version_2(const ConfigNode& node);

/// Reads such a configuration; keys that are absent have the defaults of its schema. Throws
/// ConfigError, which names the part, for text encoders, world models and the other parts that are
/// not supported, and as `parse_official_config`.
[[nodiscard]] OfficialConfig parse_version_2(const ConfigNode& node);

/// Reads the name of an encoder, the string of `node`. Throws ConfigError for another form, and for
/// encoders that are not supported.
[[nodiscard]] OfficialEncoderName parse_encoder_name(const ConfigNode& node);

}  // namespace rae::official
