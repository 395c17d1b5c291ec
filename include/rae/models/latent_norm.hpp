// Normalisation of latents by their statistics over a data set. Diffusion Transformers with
// Representation Autoencoders, section 4; official class RAE, `do_normalization`.
#pragma once

#include "rae/core/math.hpp"
#include "rae/core/tensor.hpp"

namespace rae {

/// Mean and variance of the latents over a data set, (C, h, w) each; an empty mean stands for 0,
/// an empty variance for 1.
template <Real T>
struct LatentNorm {
  Tensor<T> mean, var;  // (C, h, w)
  double eps = 1e-5;    ///< added to the variance

  /// (z - mean) / sqrt(var + eps) for z (B, C, h, w). Throws ShapeError.
  [[nodiscard]] Tensor<T> normalize(const Tensor<T>& z) const {
    return apply(z, [](T value, T centre, T deviation) { return (value - centre) / deviation; });
  }
  /// z * sqrt(var + eps) + mean for z (B, C, h, w). Throws ShapeError.
  [[nodiscard]] Tensor<T> denormalize(const Tensor<T>& z) const {
    return apply(z, [](T value, T centre, T deviation) { return value * deviation + centre; });
  }

 private:
  template <class F>
  Tensor<T> apply(const Tensor<T>& z, F f) const {
    if (mean.empty() && var.empty()) return z;
    if (z.rank() != 4)
      raise<ShapeError>("LatentNorm: expected a latent (B, C, h, w), got ", z.shape());
    const Shape expected{z.extent(1), z.extent(2), z.extent(3)};
    if (!mean.empty()) require_shape("LatentNorm: mean", mean.shape(), expected);
    if (!var.empty()) require_shape("LatentNorm: var", var.shape(), expected);
    Tensor<T> out(z.shape());  // (B, C, h, w)
    T* target = out.data();
    const T* source = z.data();
    const index_t n = expected.numel();
    Tensor<T> deviations(expected);  // (C, h, w)
    T* deviation = deviations.data();
    for (index_t i = 0; i < n; ++i)
      deviation[i] =
          var.empty() ? T(1) : static_cast<T>(math::sqrt(static_cast<double>(var[i]) + eps));
    for (index_t b = 0; b < z.extent(0); ++b)
      for (index_t i = 0; i < n; ++i)
        target[b * n + i] = f(source[b * n + i], mean.empty() ? T(0) : mean[i], deviation[i]);
    return out;
  }
};

}  // namespace rae
