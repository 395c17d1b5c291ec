// The sizes of the experiment `width`, and its section of the findings.
#pragma once

#include <vector>

#include "frame/finding.hpp"

namespace rae::experiments {

/// Token dimensions, widths and depths of the networks, and how each is trained.
struct WidthPlan {
  std::vector<index_t> tokens{48, 96, 192};                    ///< elements of a token
  std::vector<index_t> widths{32, 48, 64, 96, 128, 192, 256};  ///< of the DiT
  std::vector<index_t> depths{4, 8};  ///< blocks; a network with a head has the first depth
  index_t head = 256;                 ///< width of the DDT head, which has two blocks
  index_t seeds = 3;                  ///< each with another picture, noise and initial weights
  index_t steps = 500, batch = 16;    ///< of the training
  index_t statistics = 512;           ///< pictures that normalise the latents
  index_t draws = 512;                ///< noises and times of the final loss
};

/// The section on these results, whose maps have "tokens", "width", "depth", "head" (0: none),
/// "seed", "loss" and "bound".
[[nodiscard]] Finding width_finding(const WidthPlan& plan, const std::vector<ConfigNode>& results);

}  // namespace rae::experiments
