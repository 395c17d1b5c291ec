// Normal distributions with a diagonal covariance, given by means and logarithms of variances:
// samples, and the divergence from the standard normal distribution, forward and backward.
//
// Kingma and Welling, "Auto-Encoding Variational Bayes" (2014), section 2.4 and appendix B.
#pragma once

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// The logarithm of a variance is clamped to this interval, as in the autoencoders of latent
/// diffusion (Rombach et al. 2022, official DiagonalGaussianDistribution). Outside of it the
/// gradient is 0.
inline constexpr double kLeastLogVariance = -30, kLargestLogVariance = 20;

/// out (..., C) = mean + sqrt(variance) * noise for moments (..., 2C), where means are followed by
/// the logarithms of variances, and noise (..., C). All contiguous. Throws ShapeError.
template <Real T>
void gaussian_sample(View<const T> moments, View<const T> noise, View<T> out);

/// dmoments (..., 2C), overwritten, for dout (..., C). Throws ShapeError.
template <Real T>
void gaussian_sample_backward(View<const T> moments, View<const T> noise, View<const T> dout,
                              View<T> dmoments);

/// The mean, over all elements of the distributions, of the Kullback-Leibler divergence from the
/// standard normal distribution, 1/2 (mean^2 + variance - 1 - log variance) in nats, for moments
/// (..., 2C). Summed in double in a fixed order. Throws ShapeError.
template <Real T>
[[nodiscard]] T gaussian_kl(View<const T> moments);

/// dmoments (..., 2C), overwritten: the gradient of `gaussian_kl` times dloss. Throws ShapeError.
template <Real T>
void gaussian_kl_backward(View<const T> moments, T dloss, View<T> dmoments);

extern template void gaussian_sample<float>(View<const float>, View<const float>, View<float>);
extern template void gaussian_sample<double>(View<const double>, View<const double>, View<double>);
extern template void gaussian_sample_backward<float>(View<const float>, View<const float>,
                                                     View<const float>, View<float>);
extern template void gaussian_sample_backward<double>(View<const double>, View<const double>,
                                                      View<const double>, View<double>);
extern template float gaussian_kl<float>(View<const float>);
extern template double gaussian_kl<double>(View<const double>);
extern template void gaussian_kl_backward<float>(View<const float>, float, View<float>);
extern template void gaussian_kl_backward<double>(View<const double>, double, View<double>);

}  // namespace rae
