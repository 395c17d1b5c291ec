// Inception score: how sure a classifier is about each generated picture, and how different its
// opinions are.
//
// Source: Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen, "Improved techniques for training
// GANs" (2016), section 4.
#pragma once

#include <cstdint>
#include <optional>

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// Mean and deviation (of the population) over the parts.
struct InceptionScore {
  double mean = 0, deviation = 0;
};

/// exp of the mean Kullback-Leibler divergence of p(class | picture) from p(class), for logits (N,
/// classes), in each of `splits` equal parts. The pictures are first put into the order of NumPy's
/// `RandomState(shuffle_seed).permutation(N)`, with the seed of torch-fidelity; without a seed they
/// stay as they are. Throws ShapeError, NumericError for NaN or infinity, ArgumentError unless 1 <=
/// splits <= N < 2^32.
[[nodiscard]] InceptionScore inception_score(View<const float> logits, index_t splits = 10,
                                             std::optional<std::uint32_t> shuffle_seed = 2020);

}  // namespace rae
