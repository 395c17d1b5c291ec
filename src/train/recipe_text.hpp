// The numbers of a planned recipe, and its text with the reasons as comments.
#pragma once

#include <string>

#include "rae/train/recipe_plan.hpp"

namespace rae::detail {

/// The numbers of a stage.
struct PlannedStage {
  index_t steps = 100;
  index_t warmup_steps = 10;
  index_t checkpoint_every = 100;
  double ema_decay = 0.9;
  DType dtype = DType::f32;
  double f32_seconds = 0, bf16_seconds = 0;  ///< of a step; 0: not measured
  double minutes = 0;                        ///< expected time of the stage
};

/// The numbers of a recipe.
struct PlannedRecipe {
  index_t channels = 3;                                  ///< of the pictures: 1 or 3
  index_t grid = 8;                                      ///< height and width of a latent
  index_t patch = 8;                                     ///< size / grid
  index_t encoder_size = 0;                              ///< 0: that of the pictures
  index_t token_width = 96;                              ///< C, numbers of a token
  index_t encoder_layers = 4;                            ///< of an encoder that is trained
  index_t decoder_width = 128, decoder_layers = 3;       ///< of the decoder
  index_t dit_width = 192, head_width = 224, depth = 6;  ///< of the diffusion network
  bool crops = true;        ///< random resized crops vary the pictures, else shifts
  index_t batch = 64;       ///< pictures of a step, in all stages
  double lr = 1e-3;         ///< highest learning rate, in all stages
  double draw_seconds = 0;  ///< expected time of the pictures that are drawn at a checkpoint
  double minutes = 0;       ///< expected time of all stages
  PlannedStage encoder, decoder, dit;
};

/// The recipe with these numbers, as YAML with comments.
[[nodiscard]] std::string recipe_text(const PlanRequest& request, const PlannedRecipe& numbers);

}  // namespace rae::detail
