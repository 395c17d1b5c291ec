// The sizes of the experiment `precision`, and its section of the findings.
#pragma once

#include <string>
#include <vector>

#include "frame/finding.hpp"

namespace rae::experiments {

/// How types of weights are compared.
struct PrecisionPlan {
  index_t samples = 1500;     ///< of each point
  index_t seeds = 3;          ///< of the noise, the same for all types
  index_t calibration = 256;  ///< latents with which sensitivities are measured
  index_t steps = 0;          ///< of the sampler; 0: the model's
  double loss = 0.01;         ///< limit of error of one of the mixes
};

/// Weights that are compared: in the results, "weights" is the name and "kind" one of these.
inline constexpr const char *kOneType = "one type", *kMixed = "a type for each layer",
                            *kFineTuned = "fine-tuned";

/// Name of the mix whose file is not larger than that of int4.
inline constexpr const char* kMixAsLargeAsInt4 = "mix as large as int4";

/// Facts that results do not have.
struct PrecisionContext {
  std::string model;    ///< its name
  double floor = 0;     ///< distance of as many real training pictures
  double accuracy = 0;  ///< of the classifier on real test pictures
};

/// The section on these results, whose maps have "weights", "kind", "seed", "distance",
/// "consistency", "megabytes" and "milliseconds" of one core for a picture.
[[nodiscard]] Finding precision_finding(const PrecisionPlan& plan, const PrecisionContext& context,
                                        const std::vector<ConfigNode>& results);

}  // namespace rae::experiments
