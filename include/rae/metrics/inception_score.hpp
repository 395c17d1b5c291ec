// Inception score: how sure a classifier is about each generated picture, and how different its opinions are.
//
// Source: Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen, "Improved techniques for training GANs" (2016), section 4.
#pragma once

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// Mean and deviation (of the population) over the parts.
struct InceptionScore {
  double mean = 0, deviation = 0;
};

/// exp of the mean Kullback-Leibler divergence of p(class | picture) from p(class), for logits (N, classes), in each of `splits` equal
/// parts of the pictures in their order; mix sets that are sorted by class before. Throws ShapeError, NumericError for NaN or infinity,
/// ArgumentError unless 1 <= splits <= N.
[[nodiscard]] InceptionScore inception_score(View<const float> logits, index_t splits = 10);

}  // namespace rae
