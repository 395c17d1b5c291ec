// Statistics of latents that the ranks encode together.
//
// Diffusion Transformers with Representation Autoencoders, section 4 (normalised latents).
#pragma once

#include "rae/core/function.hpp"
#include "rae/diffusion/latent_statistics.hpp"
#include "rae/train/communicator.hpp"

namespace rae::detail {

/// The exact statistics of `pictures` latents, on every rank. `encode(first, n)` gives the latents
/// (n, C, h, w) of a range of at most `batch` pictures; it is called on one rank for each range and
/// may throw, and then all ranks throw, as `Communicator::agree`.
///
/// Each rank encodes batches in turn, and keeps the statistics of one part of the elements of a
/// latent, over all pictures in their order. The elements are independent of each other, so the
/// result has the same bits for any number of ranks, and no rank has to receive all latents.
[[nodiscard]] LatentStatistics shared_statistics(
    Communicator& ranks, index_t pictures, index_t batch,
    const Function<Tensor<float>(index_t first, index_t n)>& encode);

}  // namespace rae::detail
