// Interpolation between noises and between latents.
//
// Source: White, "Sampling Generative Networks" (arXiv 1609.04468), section 2: points between two
// normal noises on the great circle through them keep the length that is typical of noise, which
// points on the line do not.
#pragma once

#include <span>

#include "rae/core/tensor.hpp"

namespace rae {

/// n points from a to b, both (1, C, h, w), with the given shares of b in [0, 1]: (n, C, h, w), on
/// the great circle through noises a and b. Shares of 0 and 1 give a and b exactly. For vectors in
/// the same or opposite directions it is the line. Throws ShapeError, ArgumentError.
[[nodiscard]] Tensor<float> spherical_path(const Tensor<float>& a, const Tensor<float>& b,
                                           std::span<const double> shares);

/// The same on the line, for latents.
[[nodiscard]] Tensor<float> linear_path(const Tensor<float>& a, const Tensor<float>& b,
                                        std::span<const double> shares);

}  // namespace rae
