// Inception score: high if a classifier is certain about each generated picture and the predicted
// classes are diverse.
//
// Source: Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen, "Improved techniques for training
// GANs" (2016), section 4.
#pragma once

#include <cstdint>
#include <optional>

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// Mean and population standard deviation over the splits.
struct InceptionScore {
  double mean = 0, deviation = 0;
};

/// exp of the mean Kullback-Leibler divergence of p(class | picture) from p(class), computed in
/// each of `splits` equal parts from contiguous logits (N, classes). The pictures are first
/// shuffled by NumPy's `RandomState(shuffle_seed).permutation(N)`; the default is the seed of
/// torch-fidelity, and without a seed the order is kept. Throws ShapeError, NumericError for NaN or
/// infinity, ArgumentError unless 1 <= splits <= N < 2^32.
[[nodiscard]] InceptionScore inception_score(View<const float> logits, index_t splits = 10,
                                             std::optional<std::uint32_t> shuffle_seed = 2020);

}  // namespace rae
