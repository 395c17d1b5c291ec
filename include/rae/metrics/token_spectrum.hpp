// The spectrum of tokens: eigenvalues of their covariance, effective rank, and the least loss of a
// network that is narrower than a token.
//
// Effective rank: Roy and Vetterli 2007, "The effective rank: a measure of effective
// dimensionality". Bound: Theorem 1 of Diffusion Transformers with Representation Autoencoders
// (arXiv 2510.11690), section 4.
#pragma once

#include <span>
#include <vector>

#include "rae/core/tensor.hpp"

namespace rae {

/// Eigenvalues of the covariance of tokens (N, D), the largest first, all >= 0: D values whose sum
/// is the sum of the variances of the elements. The covariance is the mean of outer products of
/// deviations from the mean token (divided by N, not N - 1). Throws ShapeError unless the tokens
/// are contiguous and not empty, NumericError for NaN or infinity.
[[nodiscard]] std::vector<double> token_spectrum(View<const float> tokens);

/// Effective rank exp(H(p)) with p_i = s_i / sum(s), the share of singular value i, and H(p) = -sum
/// p_i log p_i. It is in [1, n] for n values, n when all are equal; 0 when all are zero. The values
/// may be in any order. Throws ArgumentError for a value that is negative or not finite.
[[nodiscard]] double effective_rank(std::span<const double> singular_values);

/// Effective rank of tokens (N, D) about their mean: that of the singular values of the centred
/// matrix, which are the roots of N times `token_spectrum`. Throws as `token_spectrum`.
[[nodiscard]] double effective_rank(View<const float> tokens);

/// Theorem 1: the least mean squared error, per element, of a network of width `width` that
/// predicts noise - token, where `spectrum` are the D eigenvalues of the covariance of the tokens
/// (`token_spectrum`) and the noise is standard normal and independent of them. The covariance of
/// the target is then that of the tokens plus the identity. The output, an affine function of
/// `width` numbers, is in a space of that dimension, so the error is at least the sum of the D -
/// width smallest eigenvalues of the target; divided by D. 0 for width >= D. Throws ArgumentError
/// for a negative width, an empty spectrum, and values that are negative or not finite.
[[nodiscard]] double least_loss_of_width(std::span<const double> spectrum, index_t width);

}  // namespace rae
