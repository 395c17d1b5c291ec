// DiffAug: the augmentation of real pictures and reconstructions before the discriminator sees
// them; differentiable.
//
// Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training" (2020), section 3.3;
// random numbers are used in the order of the official code.
#pragma once

#include <array>

#include "rae/autograd/var.hpp"

namespace rae {

/// Which changes, and how strong.
struct DiffAugOptions {
  double prob =
      1.0;  ///< probability of each of the groups translation, colour and cutout, in [0, 1]
  double cutout = 0.0;  ///< side of the square that is blanked, in sides of the picture, in [0, 1]
  double warmup_blur =
      0.0;  ///< blur before all else, as part of its greatest deviation sqrt(H / 2), in [0, 1]
};

/// The random numbers of one call, in [0, 1).
struct DiffAugDraws {
  std::array<float, 3>
      groups{};  ///< translation, colour and cutout are done where this is at most `prob`
  Tensor<float>
      pictures;  ///< (7, B): down, right, brightness, saturation, contrast, cutout's row and column
};

/// Draws for B pictures from Philox(seed, stream). Throws ArgumentError for a negative B.
[[nodiscard]] DiffAugDraws draw_diff_augment(index_t batch, std::uint64_t seed,
                                             std::uint64_t stream);

/// Pictures (B, C, H, W) in [-1, 1], moved by up to H/8 and W/8 over a ground of zeros, then
/// brightness, saturation and contrast changed, then a square blanked. Values are not clamped.
/// Throws ShapeError for other shapes or draws, or when the blur is wider than the picture,
/// ArgumentError for options out of range.
template <Real T>
[[nodiscard]] Tensor<T> diff_augment(const Tensor<T>& images, const DiffAugOptions& options,
                                     const DiffAugDraws& draws);

/// dimages (B, C, H, W) for dout (B, C, H, W): the transpose of `diff_augment`, which is affine.
/// Throws as it does.
template <Real T>
[[nodiscard]] Tensor<T> diff_augment_backward(const Tensor<T>& dout, const DiffAugOptions& options,
                                              const DiffAugDraws& draws);

/// The same, recorded.
template <Real T>
[[nodiscard]] Var<T> diff_augment(const Var<T>& images, const DiffAugOptions& options,
                                  const DiffAugDraws& draws) {
  return detail::make_result<T>(
      diff_augment(images.value(), options, draws),
      [images, options, draws](const Tensor<T>& g) {
        images.accumulate(diff_augment_backward(g, options, draws));
      },
      images);
}

extern template Tensor<float> diff_augment<float>(const Tensor<float>&, const DiffAugOptions&,
                                                  const DiffAugDraws&);
extern template Tensor<double> diff_augment<double>(const Tensor<double>&, const DiffAugOptions&,
                                                    const DiffAugDraws&);
extern template Tensor<float> diff_augment_backward<float>(const Tensor<float>&,
                                                           const DiffAugOptions&,
                                                           const DiffAugDraws&);
extern template Tensor<double> diff_augment_backward<double>(const Tensor<double>&,
                                                             const DiffAugOptions&,
                                                             const DiffAugDraws&);

}  // namespace rae
