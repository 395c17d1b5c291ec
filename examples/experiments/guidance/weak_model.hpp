// The weak model of autoguidance: a smaller diffusion network on the latents of the same encoder.
//
// Diffusion Transformers with Representation Autoencoders (arXiv 2510.11690), section 5: DiT^DH-S
// after 14 epochs guides DiT^DH-XL after 800. Karras et al. 2024, "Guiding a diffusion model with a
// bad version of itself", section 4: the guide should be smaller and less trained.
#pragma once

#include "frame/finished_model.hpp"

namespace rae::experiments {

/// How a weak model is trained.
struct WeakPlan {
  index_t steps = 1500, batch = 64;
};

/// The model with a guide: the diffusion network of the bundle in `options.weak` or, without it, a
/// network of the same widths and a third of the depth that is trained for this plan and kept in
/// OUT/weak.safetensors. Throws ConfigError for a weak model with latents of another encoder or
/// with another path or prediction, and as `Bundle::load` and `train_flow`.
[[nodiscard]] Bundle with_guide(const Options& options, const FinishedModel& model,
                                const WeakPlan& plan);

}  // namespace rae::experiments
