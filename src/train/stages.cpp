#include "train/stages.hpp"

namespace rae::detail {

std::vector<TrainingStage> stages_of(const Recipe& recipe, const RecipeRun& run) {
  if (!run.stages.empty()) return run.stages;
  std::vector<TrainingStage> all{TrainingStage::encoder, TrainingStage::decoder,
                                 TrainingStage::statistics};
  if (recipe.model.dit) all.push_back(TrainingStage::dit);
  return all;
}

bool is_trained(const Recipe& recipe, TrainingStage stage) {
  if (stage == TrainingStage::encoder)
    return recipe.pretrained_encoder.empty() &&
           recipe.model.encoder.get_if<EncoderConfig>() != nullptr;
  return stage != TrainingStage::statistics;
}

NetworkRole role_of(TrainingStage stage) {
  switch (stage) {
    case TrainingStage::encoder: return NetworkRole::encoder;
    case TrainingStage::decoder: return NetworkRole::decoder;
    default: return NetworkRole::dit;
  }
}

std::vector<TrainingStage> predecessors(TrainingStage stage) {
  switch (stage) {
    case TrainingStage::encoder: return {};
    case TrainingStage::dit:
      return {TrainingStage::encoder, TrainingStage::decoder, TrainingStage::statistics};
    default: return {TrainingStage::encoder};
  }
}

}  // namespace rae::detail
