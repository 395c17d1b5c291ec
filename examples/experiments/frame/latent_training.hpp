// Training of diffusion networks on latents in memory, and samples of them.
//
// Diffusion Transformers with Representation Autoencoders (arXiv 2510.11690), sections 4 and 5.
#pragma once

#include "frame/representation.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/train/flow_trainer.hpp"

namespace rae::experiments {

/// Batches of `batch` latents, drawn with replacement: batch i is a function of the seed and of i.
/// `space` must outlive the result.
[[nodiscard]] LatentSource random_batches(const Representation& space, index_t batch,
                                          std::uint64_t seed);

/// Widths and depths of a DiT^DH.
struct DitPlan {
  index_t backbone = 96, depth = 4;    ///< width and blocks of the backbone
  index_t head = 192, head_depth = 2;  ///< of the head
  index_t head_width = 32;             ///< elements of an attention head
};

/// The sizes as settings of a checkpoint or of stored points.
[[nodiscard]] ConfigNode to_config(const DitPlan& plan);

/// The plan with a head that is as wide as a token, in whole attention heads, where it was narrower
/// (Theorem 1).
[[nodiscard]] DitPlan wide_enough(DitPlan plan, const Shape& latent);

/// The DiT^DH for latents (C, h, w).
[[nodiscard]] DitDhConfig dit_dh(const DitPlan& plan, const Shape& latent, index_t classes);

/// Numbers of the optimiser for a diffusion network whose quality at the end counts.
[[nodiscard]] TrainingOptions dit_training(index_t steps, index_t batch, std::uint64_t seed);

/// Latents (B, C, h, w) that a network draws for labels (B) by Euler steps along `grid`, without
/// guidance; the noise is a function of the seed and of `first`, the number of the first sample.
[[nodiscard]] Tensor<float> draw_latents(const BackboneNetwork<Tensor<float>>& network,
                                         const Shape& latent, std::span<const float> grid,
                                         const std::vector<std::int64_t>& labels, index_t first,
                                         std::uint64_t seed);

}  // namespace rae::experiments
