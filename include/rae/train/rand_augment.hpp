// RandAugment: a few random operations of one strength on each picture.
//
// Source: Cubuk et al. 2019, "RandAugment: Practical automated data augmentation with a reduced
// search space", with the operations and ranges of torchvision's RandAugment.
#pragma once

#include <span>

#include "rae/core/random.hpp"
#include "rae/core/shape.hpp"

namespace rae {

/// The operations, with torchvision's names and the meaning of their strength.
enum class AugmentOp {
  identity,       ///< nothing
  shear_x,        ///< row y is moved by strength * y to the left, about the upper left corner
  shear_y,        ///< column x is moved by strength * x upwards
  translate_x,    ///< moved to the right, by pixels
  translate_y,    ///< moved down, by pixels
  rotate,         ///< anticlockwise about the centre, by degrees
  brightness,     ///< the factor is 1 + strength, as in ColorJitter
  color,          ///< the factor of the saturation is 1 + strength
  contrast,       ///< the factor is 1 + strength
  sharpness,      ///< the factor of the distance from a smoothed picture is 1 + strength
  posterize,      ///< only this number of the 8 bits of a sample is kept
  solarize,       ///< samples of at least strength / 255 are inverted
  auto_contrast,  ///< each channel is scaled to the range [0, 1]
  equalize,       ///< the histogram of each channel is made flat
};

/// Applies one operation to a picture (C, H, W) in [0, 1], with C = 1 or 3. Pixels from outside are
/// `fill`; geometric operations take the nearest pixel.
void apply_augment_op(std::span<float> image, int channels, index_t height, index_t width,
                      AugmentOp op, double strength, double fill = 0);

/// How RandAugment chooses its operations.
struct RandAugment {
  index_t num_ops = 2;              ///< operations, one after the other
  index_t magnitude = 9;            ///< strength, in [0, num_magnitude_bins)
  index_t num_magnitude_bins = 31;  ///< steps of the strength, at least 2
  double fill = 0;                  ///< sample of pixels from outside the picture, in [0, 1]
};

/// The strength of an operation for pictures of height x width, not negated.
[[nodiscard]] double augment_strength(const RandAugment& how, AugmentOp op, index_t height,
                                      index_t width);

/// Applies `num_ops` operations; a function of `random`.
void rand_augment(std::span<float> image, int channels, index_t height, index_t width,
                  const RandAugment& how, const Philox& random);

}  // namespace rae
