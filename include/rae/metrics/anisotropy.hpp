// Anisotropy of tokens: the mean cosine similarity of two of them.
//
// Source: Ethayarajh 2019, "How contextual are contextualized word representations?", section 3.
#pragma once

#include "rae/core/tensor.hpp"

namespace rae {

/// Mean cosine similarity, in [-1, 1], over all pairs of different rows of `tokens` (N, D), N >= 2:
/// near 0 when directions are spread evenly, near 1 when all tokens point the same way. All pairs
/// are counted, not a sample of them, in O(N D): the sum over pairs follows from the length of the
/// sum of the unit vectors. A token of zeros has no direction and is left out. Throws ShapeError
/// unless the tokens are contiguous and not empty, ArgumentError when fewer than two are not zero,
/// NumericError for NaN or infinity.
[[nodiscard]] double anisotropy(View<const float> tokens);

}  // namespace rae
