// The stages of a recipe and their networks.
#pragma once

#include <vector>

#include "rae/spec/network_role.hpp"
#include "rae/train/recipe.hpp"

namespace rae::detail {

/// All stages in order.
inline constexpr TrainingStage kAllStages[] = {TrainingStage::encoder, TrainingStage::decoder,
                                               TrainingStage::statistics, TrainingStage::dit};

/// The stages of a run, in order.
[[nodiscard]] std::vector<TrainingStage> stages_of(const Recipe& recipe, const RecipeRun& run);

/// True for a stage that has a checkpoint: not the statistics, and not an encoder that is taken
/// from elsewhere or has no weights.
[[nodiscard]] bool is_trained(const Recipe& recipe, TrainingStage stage);

/// The network of a stage that is trained.
[[nodiscard]] NetworkRole role_of(TrainingStage stage);

/// The stages whose results a stage uses. The DiT is trained without the decoder, which draws its
/// pictures.
[[nodiscard]] std::vector<TrainingStage> predecessors(TrainingStage stage);

}  // namespace rae::detail
