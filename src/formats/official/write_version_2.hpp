// Configurations of RAEv2 for a model. Source: src/configs of nanovisionx/RAEv2.
#pragma once

#include <string>

#include "rae/formats/model_files.hpp"

namespace rae::official {

/// The reason why no configuration of RAEv2 can describe this model; empty when one can.
[[nodiscard]] std::string why_no_version_2(const ModelFiles& files);

/// The configuration, with the paths of the files that `save_official` writes.
[[nodiscard]] ConfigNode version_2_config(const ModelFiles& files);

}  // namespace rae::official
