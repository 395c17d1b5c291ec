// Recognises configurations of RAEv2, the second version of the official code.
#pragma once

#include "rae/io/config.hpp"

namespace rae::official {

/// Throws ConfigError when the configuration is one of RAEv2, which is not supported yet; the
/// message lists the parts of it that show this. Source: configs/ of the RAEv2 repository.
void require_version_1(const ConfigNode& node);

}  // namespace rae::official
