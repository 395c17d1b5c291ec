// The sizes of the experiment `tau`, and its section of the findings.
#pragma once

#include <string>
#include <vector>

#include "frame/finding.hpp"
#include "frame/latent_training.hpp"

namespace rae::experiments {

/// Networks, noise and pictures that are compared.
struct TauPlan {
  std::vector<double> taus{0, 0.2, 0.4, 0.8};  ///< strengths of the noise; the first is 0
  index_t seeds = 3;                           ///< of the decoders
  NetworkPlan networks{.width = 128, .batch = 64};
  index_t encoder_steps = 6000;  ///< of the encoder, if none is given
  index_t decoder_steps = 2000;  ///< of each decoder
  double perceptual_weight = 1;  ///< of the distance in the encoder's features, beside L1
  DitPlan dit{};
  index_t dit_steps = 12000, dit_batch = 64;  ///< of the only DiT^DH
  index_t samples = 5000, grid = 25;          ///< samples, and Euler steps
  index_t reconstructions = 10000;            ///< test pictures
};

/// Names of the laws of the noise: sigma = tau U(0, 1), and sigma = |N(0, tau^2)|.
inline const std::vector<std::string> kTauLaws{"uniform", "absolute normal"};

/// The section on these results, whose maps have "law" (also "none", where "tau" is 0), "tau",
/// "seed", "rec_distance", "psnr", "distance" and "consistency". `floor` is the distance of as many
/// real training pictures as samples.
[[nodiscard]] Finding tau_finding(const TauPlan& plan, double floor,
                                  const std::vector<ConfigNode>& results);

}  // namespace rae::experiments
