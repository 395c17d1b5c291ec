// Pictures that are mixtures of two: mixup blends them, CutMix pastes a rectangle of the second
// into the first. Their classes are shared in the same proportion.
//
// Source: Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization"; Yun et al. 2019, "CutMix:
// Regularization Strategy to Train Strong Classifiers with Localizable Features"; the options have
// the names and meaning of timm's Mixup with one draw for each picture.
#pragma once

#include <cstdint>

#include "rae/core/random.hpp"
#include "rae/train/batches.hpp"

namespace rae {

/// How pictures are mixed.
struct MixOptions {
  double mixup_alpha = 0;          ///< shares are drawn from Beta(alpha, alpha); 0: no mixup
  double cutmix_alpha = 0;         ///< the same of the area for CutMix; 0: no CutMix
  double mixup_prob = 1;           ///< probability that a picture is mixed
  double mixup_switch_prob = 0.5;  ///< probability of CutMix where there are both

  /// True when there is something to mix.
  [[nodiscard]] bool mixes() const noexcept {
    return mixup_prob > 0 && (mixup_alpha > 0 || cutmix_alpha > 0);
  }
};

/// Largest alpha; with it, nearly all shares are 1/2.
inline constexpr double kMostAlpha = 1000;

/// Throws ArgumentError for an alpha outside [0, kMostAlpha] and a probability outside [0, 1].
void require_mix(const MixOptions& options);

/// A draw from Beta(alpha, alpha) for alpha above 0; `random` is read from `first` on.
[[nodiscard]] double draw_beta(double alpha, const Philox& random, std::uint64_t first);

/// A batch whose pictures may belong to two classes.
struct MixedBatch {
  Tensor<float> images;     ///< (B, C, H, W)
  Tensor<float> targets;    ///< (B, classes), the shares of the classes, of the sum 1
  std::uint64_t first = 0;  ///< number of the first sample since the training began
};

/// Mixes each of the first B pictures of a batch of B + 1 with the next one, so that the result is
/// a function of the numbers of the samples, whatever the batches and the ranks. The share
/// `label_smoothing` of the targets is divided among all classes (Szegedy et al. 2016, section 7).
/// Throws ArgumentError for a batch without two pictures, labels that are no classes, and as
/// `require_mix`.
[[nodiscard]] MixedBatch mix_with_next(const Batch& batch, index_t classes,
                                       const MixOptions& options, double label_smoothing,
                                       std::uint64_t seed);

}  // namespace rae
