// The sizes of the experiment `guidance`, and its section of the findings.
#pragma once

#include <string>
#include <vector>

#include "frame/finding.hpp"
#include "guidance/weak_model.hpp"

namespace rae::experiments {

/// Guidance that is compared.
struct GuidancePlan {
  std::vector<double> scales{1.25, 1.5, 2, 3};
  double low = 0.2, high = 0.75;  ///< flow times of the interval; 1 is noise
  index_t samples = 1250;         ///< of each point, and real pictures of precision and recall
  index_t seeds = 3;
  index_t steps = 30;  ///< of the sampler; 0: the model's
  WeakPlan weak{};
};

/// Names of the methods in the results; `kNoGuidance` has the scale 1 alone.
inline constexpr const char *kNoGuidance = "none", *kCfg = "CFG", *kInterval = "CFG in an interval",
                            *kAutoguidance = "autoguidance";

/// Scores that results do not have.
struct GuidanceContext {
  std::string model;    ///< its name
  std::string weak;     ///< the guide, in words
  double floor = 0;     ///< distance of as many real training pictures
  double accuracy = 0;  ///< of the classifier on real test pictures
};

/// The section on these results, whose maps have "method", "scale", "seed", "distance",
/// "consistency", "precision" and "recall".
[[nodiscard]] Finding guidance_finding(const GuidancePlan& plan, const GuidanceContext& context,
                                       const std::vector<ConfigNode>& results);

}  // namespace rae::experiments
