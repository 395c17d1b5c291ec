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
    return apply(z, [this](T value, index_t i) { return (value - mean_at(i)) / deviation_at(i); });
  }
  /// z * sqrt(var + eps) + mean for z (B, C, h, w). Throws ShapeError.
  [[nodiscard]] Tensor<T> denormalize(const Tensor<T>& z) const {
    return apply(z, [this](T value, index_t i) { return value * deviation_at(i) + mean_at(i); });
  }

 private:
  [[nodiscard]] T mean_at(index_t i) const { return mean.empty() ? T(0) : mean[i]; }
  [[nodiscard]] T deviation_at(index_t i) const {
    return var.empty() ? T(1) : static_cast<T>(math::sqrt(static_cast<double>(var[i]) + eps));
  }

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
    const index_t n = expected.numel();
    for (index_t i = 0; i < z.numel(); ++i) target[i] = f(z[i], i % n);
    return out;
  }
};

}  // namespace rae
