// The sizes of the experiment `encoders`, and its section of the findings.
#pragma once

#include <string>
#include <vector>

#include "frame/finding.hpp"
#include "frame/latent_training.hpp"

namespace rae::experiments {

/// Networks that all encoders share, and the pictures that measure them.
struct EncodersPlan {
  NetworkPlan networks{.width = 128, .batch = 64};
  index_t encoder_steps = 4000, decoder_steps = 1600;
  DitPlan dit{};
  index_t dit_steps = 2000, dit_batch = 64;
  index_t samples = 2000, grid = 20;                ///< pictures of a distance, Euler steps
  index_t probe_train = 20000, probe_test = 10000;  ///< pictures of the probes
  index_t token_pictures = 2000;                    ///< test pictures whose tokens are measured
  index_t seeds = 3;
};

/// Measurements of a frozen encoder without any decoder.
struct TokenQuality {
  double knn = 0, linear = 0;  ///< test accuracy of the probes of the mean token, in [0, 1]
  double effective_rank = 0;   ///< of the tokens
  double anisotropy = 0;       ///< of the tokens
};

/// Measures an encoder on evenly spaced pictures of both sets.
[[nodiscard]] TokenQuality token_quality(const Rae<float>& encoder, const EncodersPlan& plan,
                                         const OwnedPointer<const ImageDataset>& train,
                                         const OwnedPointer<const ImageDataset>& test);

/// The section on these results, whose maps have "encoder", "seed", "width", "knn", "linear",
/// "effective_rank", "anisotropy", "rec_distance", "distance" and "consistency".
[[nodiscard]] Finding encoders_finding(const EncodersPlan& plan,
                                       const std::vector<std::string>& names,
                                       const std::vector<ConfigNode>& results);

}  // namespace rae::experiments
