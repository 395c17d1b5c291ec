// A recipe for a data set, a machine and a time: the sizes of the networks, the steps of each
// stage, and the reasons as comments.
//
// Diffusion Transformers with Representation Autoencoders: the encoder (stage 0), the decoder
// (section 3), and DiT^DH whose head is at least as wide as a token (section 4, Theorem 1).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "rae/train/pixel_sample.hpp"
#include "rae/train/recipe.hpp"

namespace rae {

/// Side lengths of pictures for which a recipe can be planned.
inline constexpr index_t kPlannedSizes[] = {32, 64, 128, 256};

/// What a recipe is planned for.
struct PlanRequest {
  std::string name;     ///< of the model; replaced by "model" where it is not UTF-8
  index_t size = 64;    ///< height and width of the pictures: one of `kPlannedSizes`
  double minutes = 30;  ///< time of all stages together, from 0.1 to 100000
  std::string
      pretrained{};  ///< folder of Hugging Face or bundle with the encoder; empty: train one
  std::vector<std::pair<std::string, index_t>> classes{};  ///< names and pictures, by label
  PixelSample sample{};                                    ///< of the pictures
  double read_seconds = 0;                                 ///< to read and decode a picture
  bool ignore_exif = false;                                ///< see `DatasetOptions`
  bool measured = true;     ///< the seconds of a step are measured, not estimated
  bool photographs = true;  ///< pictures may be mirrored; false for letters and other signs
};

/// Seconds of a training step of a stage of this recipe with products of this type: see
/// `measure_step`.
using StepSeconds = Function<double(const Recipe&, TrainingStage, DType)>;

/// A recipe with its reasons.
struct RecipePlan {
  std::string yaml;                  ///< the commented recipe, in lines of at most 100 characters
  Recipe recipe;                     ///< the same, parsed
  double minutes = 0;                ///< expected time of all stages
  std::vector<std::string> notes{};  ///< reasons why the result may disappoint
};

/// Plans the largest networks that get enough steps in `minutes`, and the steps of each stage.
/// Equal requests and equal seconds give equal recipes. Throws ArgumentError for a request out of
/// range or without pictures; ConfigError for a pretrained encoder of another kind than
/// `EncoderConfig`; and as `parse_recipe` and `seconds`.
[[nodiscard]] RecipePlan plan_recipe(const PlanRequest& request, const StepSeconds& seconds);

}  // namespace rae
