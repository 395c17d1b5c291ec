// Normal distributions with a diagonal covariance, for Tensor (inference) and for Var (recorded,
// with a gradient). Moments (..., 2C) are means followed by logarithms of variances.
//
// Kingma and Welling, "Auto-Encoding Variational Bayes" (2014), section 2.4 and appendix B.
#pragma once

#include "rae/kernels/gaussian.hpp"
#include "rae/ops/tokens.hpp"

namespace rae {

/// The means (..., C) of moments (..., 2C), a Tensor or a Var. Throws ShapeError.
template <class X>
X gaussian_mean(const X& moments) {
  const Shape s = moments.shape();
  if (s.rank() < 1 || s.numel() == 0 || s[-1] % 2 != 0)
    raise<ShapeError>("gaussian_mean: expected moments (..., 2C), got ", s);
  const index_t c = s[-1] / 2;
  return reshape(slice_tokens(reshape(moments, {s.numel() / (2 * c), 2, c}), 0, 1),
                 s.with(-1, c));  // (..., C)
}

/// A sample (..., C) of the distributions with moments (..., 2C): mean + deviation * noise, for
/// standard normal noise (..., C). Throws ShapeError.
template <Real T>
Tensor<T> gaussian_sample(const Tensor<T>& moments, const Tensor<T>& noise) {
  Tensor<T> out(noise.shape());  // (..., C)
  gaussian_sample<T>(moments, noise, out);
  return out;
}
/// The same, recorded: the gradient goes to moments (the reparameterisation of section 2.4).
template <Real T>
Var<T> gaussian_sample(const Var<T>& moments, const Tensor<T>& noise) {
  return detail::make_result<T>(
      gaussian_sample(moments.value(), noise),
      [moments, noise](const Tensor<T>& g) {
        Tensor<T> dmoments(moments.shape());  // (..., 2C)
        gaussian_sample_backward<T>(moments.value(), noise, g, dmoments);
        moments.accumulate(std::move(dmoments));
      },
      moments);
}

/// The mean, over all elements of the distributions, of the Kullback-Leibler divergence from the
/// standard normal distribution, in nats, for moments (..., 2C): a scalar (appendix B). Throws
/// ShapeError.
template <Real T>
Var<T> kl_loss(const Var<T>& moments) {
  return detail::make_result<T>(
      Tensor<T>(Shape{}, gaussian_kl<T>(moments.value())),
      [moments](const Tensor<T>& g) {
        Tensor<T> dmoments(moments.shape());  // (..., 2C)
        gaussian_kl_backward<T>(moments.value(), g[0], dmoments);
        moments.accumulate(std::move(dmoments));
      },
      moments);
}

}  // namespace rae
