// The sizes of the experiment `schedule`, and its section of the findings.
#pragma once

#include <vector>

#include "frame/finding.hpp"

namespace rae::experiments {

/// Latents, networks and shifts that are compared.
struct SchedulePlan {
  std::vector<index_t> tokens{48, 96, 192};       ///< elements of a token of random encoders
  std::vector<double> shifts{1, 1.5, 2, 3, 4.5};  ///< alpha, in training and sampling
  index_t seeds = 3;
  index_t train = 10000, test = 2000;            ///< pictures
  index_t samples = 1000, sampling_steps = 20;   ///< Euler steps
  index_t projection = 128;                      ///< numbers that a latent is projected to
  index_t steps = 800, batch = 32;               ///< of the training
  index_t backbone = 64, head = 192, depth = 4;  ///< DiT^DH; the head is as wide as a token
};

/// The section on these results, whose maps have "encoder" (a position in `dimensions`), "shift",
/// "seed" and "distance".
[[nodiscard]] Finding schedule_finding(const SchedulePlan& plan,
                                       const std::vector<index_t>& dimensions,
                                       const std::vector<ConfigNode>& results);

}  // namespace rae::experiments
