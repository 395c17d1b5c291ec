// The recipe that an official configuration of stage 1 describes: the decoder's training with LPIPS
// and the DINO discriminator, on a pretrained encoder. Source: train_stage1.py, build_optimizer,
// build_scheduler and build_discriminator of the official repository.
#pragma once

#include <string>
#include <vector>

#include "rae/formats/official/config.hpp"
#include "rae/train/recipe.hpp"

namespace rae {

/// The files that an official configuration does not name.
struct OfficialRecipeFiles {
  std::string models_dir{};  ///< see `OfficialOptions`
  std::vector<std::string>
      lpips{};  ///< files of VGG16 and of LPIPS, see `open_lpips`; the official code downloads them
};

/// Reads the sections `stage_1`, `training` and `gan` as a recipe of encoder, decoder and
/// statistics for a data set of `pictures` pictures, of which epochs are made. Sections `eval` and
/// intervals of samples do not matter. Throws ConfigError for a configuration of stage 2 and for
/// options that rae does not have, FileError with the list of all that is missing, and as
/// `open_official`.
[[nodiscard]] Recipe official_recipe(const OfficialConfig& config, index_t pictures,
                                     const OfficialRecipeFiles& files = {});

}  // namespace rae
