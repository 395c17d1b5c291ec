// What a run of a recipe would do in its folder, before it does anything: which results of earlier
// runs it uses.
//
// The stages are those of Diffusion Transformers with Representation Autoencoders: the encoder, the
// decoder (section 3), the statistics of the latents, and DiT^DH (section 4).
#pragma once

#include <string>
#include <vector>

#include "rae/train/recipe_check.hpp"

namespace rae {

/// What a run would do with a stage.
struct StageOutlook {
  TrainingStage stage = TrainingStage::encoder;
  std::string text;      ///< in words: "continues at step 40 of 100", "stale: trained again, ..."
  bool refused = false;  ///< the run would be refused
};

/// Looks at the stages of a run in order, without writing anything, also while another process
/// trains in the folder. `checked` is the result of `check_recipe`. Throws ArgumentError without
/// `run.out`, and the errors of files that cannot be read.
[[nodiscard]] std::vector<StageOutlook> outlook_of_stages(const Recipe& recipe,
                                                          const RecipeRun& run,
                                                          const CheckedRecipe& checked);

}  // namespace rae
