// How pictures are varied while training: flips, shifts, random resized crops, colour jitter,
// RandAugment and random erasing, as torchvision defines them, and holes.
//
// Source: torchvision's RandomHorizontalFlip, RandomCrop, RandomResizedCrop, ColorJitter,
// RandAugment and RandomErasing (Zhong et al. 2017, "Random Erasing Data Augmentation"); DeVries
// and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout" (2017); the
// official train.py flips pictures.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "rae/core/random.hpp"
#include "rae/core/shape.hpp"
#include "rae/io/image_dataset.hpp"
#include "rae/train/rand_augment.hpp"

namespace rae {

/// A range of random numbers, both ends included.
struct AugmentRange {
  double lowest = 0, highest = 0;
};

/// A part of the picture with random area and proportions, resized to the size of the data set by
/// bicubic interpolation (torchvision's default is bilinear).
struct RandomResizedCrop {
  AugmentRange scale{0.08, 1};        ///< area of the part, as a share of the picture, in (0, 1]
  AugmentRange ratio{0.75, 4.0 / 3};  ///< width : height of the part, drawn by its logarithm
};

/// Random factors of colours, applied in random order. For pictures of one channel saturation and
/// hue change nothing.
struct ColorJitter {
  AugmentRange brightness{1, 1};  ///< factor of all samples
  AugmentRange contrast{1, 1};    ///< factor of the distance from the picture's mean gray
  AugmentRange saturation{1, 1};  ///< factor of the distance from the pixel's gray
  AugmentRange hue{0, 0};         ///< added to the hue, in turns, within [-1/2, 1/2]
};

/// A rectangle that is replaced, after all others but cutout. If ten draws give no rectangle
/// smaller than the picture, nothing is replaced.
struct RandomErasing {
  double p = 0.5;                  ///< probability
  AugmentRange scale{0.02, 0.33};  ///< area, as a share of the picture
  AugmentRange ratio{0.3, 3.3};    ///< height : width, drawn by its logarithm
  double value = 0;                ///< the new samples, in [0, 1]
  bool noise = false;              ///< uniform noise instead of `value`
};

/// How pictures are varied.
struct Augmentation {
  index_t shift = 0;     ///< moved by up to this many pixels each way; the border is black
  bool reflect = false;  ///< the border of a shifted picture is its mirror image instead
  bool flip = false;     ///< left and right exchanged with probability 1/2
  index_t cutout = 0;  ///< side of a gray square at a random place, whose centre is in the picture;
                       ///< after all others
  std::optional<RandomResizedCrop> random_resized_crop{};  ///< before all others
  std::optional<ColorJitter> color_jitter{};               ///< before shift and flip
  std::optional<RandAugment> rand_augment{};               ///< after shift and flip
  std::optional<RandomErasing> random_erasing{};           ///< after RandAugment

  /// True when a sample is a picture or its mirror image.
  [[nodiscard]] bool only_mirrors() const noexcept {
    return shift == 0 && cutout == 0 && !random_resized_crop && !color_jitter && !rand_augment &&
           !random_erasing;
  }
};

/// Most operations of RandAugment on a picture.
inline constexpr index_t kMostAugmentOps = 32;

/// Throws ArgumentError for a negative shift or cutout, and for ranges and numbers that are empty
/// or outside their limits.
void require_augmentation(const Augmentation& augmentation);

/// The part of a picture of width x height that a sample shows; a function of `random`. After ten
/// draws that do not fit, the largest central part whose proportions are allowed.
[[nodiscard]] PixelBox random_crop_box(const RandomResizedCrop& how, index_t width, index_t height,
                                       const Philox& random);

/// Changes the colours of a picture (C, H, W) in [0, 1] with C = 1 or 3.
void jitter_colors(std::span<float> image, int channels, const ColorJitter& how,
                   const Philox& random);

/// Sets a square of `side` pixels of a picture (C, H, W) to 0.5, as far as it is inside.
void cut_out(std::span<float> image, index_t height, index_t width, index_t side,
             const Philox& random);

/// Replaces a random rectangle of a picture (C, H, W); a function of `random`.
void erase_randomly(std::span<float> image, index_t height, index_t width, const RandomErasing& how,
                    const Philox& random);

}  // namespace rae
