// Files of the statistics of latents: those of the official calculate_stat.py (stat.pt), and those
// of other programs under other names.
#pragma once

#include <string>

#include "rae/models/latent_norm.hpp"

namespace rae::detail {

/// Mean and variance, (C, h, w) each, from a file of any kind that TensorSource opens. The names
/// are mean, latents_mean, latent_mean or _latents_mean; var, latents_var or latent_var; std,
/// latents_std, latent_std or _latents_std, whose square is the variance if there is none. All may
/// be in a dict `stats` or `latent_stats`. Any shape is read that PyTorch would broadcast to
/// `latent`. An absent mean stays empty; an absent variance is 1, since the official code then
/// divides by sqrt(1 + eps). `where` names the part of a configuration that makes these latents,
/// for messages. Throws FileError; FormatError for a file with none of these names, which it then
/// lists, and for NaN, infinity or negative values; ShapeError.
[[nodiscard]] LatentNorm<float> read_statistics(const std::string& path, const Shape& latent,
                                                const std::string& where);

}  // namespace rae::detail
