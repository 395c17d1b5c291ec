// Quantisation-aware fine-tuning of stage 2: a run of its own, which continues a trained diffusion
// network with the rounding errors of narrow weights.
//
// Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
// Integer-Arithmetic-Only Inference", section 3: training from a finished f32 model, with weights
// that are rounded in the forward pass.
#pragma once

#include "rae/train/recipe.hpp"

namespace rae {

/// A recipe and how it is run.
struct QuantizedRun {
  Recipe recipe;  ///< its stage dit has the options `quantized_training` of the given recipe
  RecipeRun run;  ///< its folder is NAME/dit-TYPE in that of the given run
};

/// The run that fine-tunes the diffusion network of a finished run for weights of the type
/// `stored`, int8w or int4: `run_recipe` trains the stage dit in the folder `run.out`/dit-int4
/// (dit-int8w), beginning with the weights of `run.init` or, without it, of
/// `run.out`/model.safetensors. Encoder, decoder and statistics are those of the same file. The
/// files of the finished run do not change, and the new folder has checkpoints, a report and a
/// model.safetensors of its own. Its weights are f32 or bf16 as in every bundle: convert it with
/// `save_packed_bundle`, or load it as `stored`.
///
/// With several ranks, each needs the model to begin with, and only rank 0 the folder.
///
/// Throws ConfigError for another type, for stages other than dit alone, and, without `run.init`,
/// when the stage dit of the run has not finished.
[[nodiscard]] QuantizedRun quantized_run(const Recipe& recipe, const RecipeRun& run, DType stored);

/// The options of this fine-tuning that a recipe does not give in its section `quantize`: a tenth
/// of the steps of stage 2, at a tenth of its learning rates, without a warm-up, and an average
/// over at most a tenth of these steps.
[[nodiscard]] TrainingOptions quantized_training_defaults(TrainingOptions dit);

}  // namespace rae
