// The sizes of the experiment `head`, and its section of the findings.
#pragma once

#include <string>
#include <vector>

#include "frame/finding.hpp"
#include "frame/latent_training.hpp"

namespace rae::experiments {

/// Networks that are compared, and their training.
struct HeadPlan {
  NetworkPlan networks{.width = 128, .batch = 64};
  index_t encoder_steps = 6000, decoder_steps = 4000;
  /// The DiT^DH to which DiTs of equal cost are found; the backbone is narrower than a token.
  DitPlan dit{.backbone = 96, .depth = 4, .head = 192, .head_depth = 2, .head_width = 16};
  std::vector<double> widths{1, 1.5, 2, 3};  ///< of the head, as multiples of the backbone's
  std::vector<index_t> depths{1, 2, 4};      ///< blocks of the head
  index_t seeds = 3;                         ///< of the comparison at equal cost; one of the others
  index_t steps = 2400, batch = 64;
  index_t samples = 2000, grid = 20;  ///< pictures of a distance, Euler steps
};

/// A network of the comparison.
struct HeadNetwork {
  std::string role;     ///< "DiT^DH", "wider DiT, equal GFLOPs", ...; "head" in the sweep
  DitPlan sizes;        ///< a head of width 0: a plain DiT
  index_t macs = 0;     ///< multiply-adds of a picture
  index_t weights = 0;  ///< parameters
};

/// The configuration of the network for latents (C, h, w).
[[nodiscard]] Backbone backbone_of(const DitPlan& sizes, const Shape& latent, index_t classes);

/// The DiT^DH of the plan, and the DiTs whose multiply-adds or parameters are nearest to its own:
/// wider ones of its depth, and deeper ones of its width.
[[nodiscard]] std::vector<HeadNetwork> networks_of_equal_cost(const HeadPlan& plan,
                                                              const Shape& latent, index_t classes);

/// The DiT^DHs with all widths and depths of the head but that of the plan.
[[nodiscard]] std::vector<HeadNetwork> networks_of_all_heads(const HeadPlan& plan,
                                                             const Shape& latent, index_t classes);

/// The section on these results, whose maps have "role", "backbone", "depth", "head", "head_depth",
/// "seed", "mmac", "million_parameters", "distance" and "consistency", for tokens of `token`
/// elements.
[[nodiscard]] Finding head_finding(const HeadPlan& plan, index_t token,
                                   const std::vector<ConfigNode>& results);

}  // namespace rae::experiments
