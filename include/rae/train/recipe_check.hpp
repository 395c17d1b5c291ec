// Everything about the run of a recipe that can be known before anything is computed: the data, the
// files of the losses, names that are stored, and memory.
//
// The stages are those of Diffusion Transformers with Representation Autoencoders: the encoder, the
// decoder (section 3), the statistics of the latents, and DiT^DH (section 4).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rae/io/data_survey.hpp"
#include "rae/train/recipe.hpp"

namespace rae {

/// The memory that a stage needs at least.
struct StageMemory {
  TrainingStage stage = TrainingStage::encoder;
  std::uint64_t weights = 0;      ///< bytes of the weights, their gradients, both moments and the
                                  ///< average, and of the frozen networks
  std::uint64_t activations = 0;  ///< bytes of what one part of a batch keeps for the backward
                                  ///< pass, a lower bound
};

/// A recipe whose run can start.
struct CheckedRecipe {
  SurveyedDataset data;             ///< the training pictures
  std::vector<StageMemory> memory;  ///< of the stages that train a network, in order
};

/// Checks a run of a recipe without writing anything. `run.skip_broken` and `run.check_data` decide
/// about the pictures, `available_memory` (0: what this process may still use) about the memory.
/// Throws ConfigError for a number of classes that is not that of the data, and for names and notes
/// that cannot be stored; FormatError that names every unreadable picture; the errors of the files
/// of losses; MemoryError when a stage cannot fit into the memory; Cancelled.
[[nodiscard]] CheckedRecipe check_recipe(const Recipe& recipe, const RecipeRun& run,
                                         std::uint64_t available_memory = 0);

/// The names of the classes that a model of this recipe has: those of the data, or none for a
/// diffusion network with one class for pictures of several.
[[nodiscard]] std::vector<std::string> class_names_for(const Recipe& recipe,
                                                       const ImageDataset& data);

/// The memory that each stage of a recipe that trains a network needs at least.
[[nodiscard]] std::vector<StageMemory> memory_of_stages(const Recipe& recipe);

}  // namespace rae
