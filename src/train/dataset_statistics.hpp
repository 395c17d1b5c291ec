// The stage of a recipe between encoder and DiT: mean and variance of each element of a latent over
// a data set.
//
// Diffusion Transformers with Representation Autoencoders, section 4 (normalised latents); the rule
// of the official calculate_stat.py.
#pragma once

#include "rae/models/rae.hpp"
#include "rae/train/communicator.hpp"
#include "rae/train/recipe.hpp"

namespace rae::detail {

/// The statistics (C, h, w) of the latents of a data set's pictures, on every rank and with the
/// same bits for any number of ranks. `on_batch` may be empty; it gets the number of finished
/// pictures and of all before each batch of this rank. Throws Cancelled when it returns false, and
/// as ImageDataset::image; an error on one rank is thrown on all. With one rank and the exact rule,
/// latents that are in the file of `kept` are not computed again, and others are added to it; the
/// data set must then not vary by epoch.
[[nodiscard]] LatentNorm<float> dataset_statistics(
    const OwnedPointer<const ImageDataset>& data, const Rae<float>& autoencoder,
    const StatisticsOptions& options, const Function<bool(index_t done, index_t total)>& on_batch,
    Communicator* ranks = nullptr, const KeptLatents& kept = {});

}  // namespace rae::detail
