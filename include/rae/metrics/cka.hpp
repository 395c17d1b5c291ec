// Linear centred kernel alignment: how similar two encoders represent the same pictures.
//
// Source: Kornblith, Norouzi, Lee and Hinton 2019, "Similarity of neural network representations
// revisited", equation 3 and section 3; unbiased: Nguyen, Raghu and Kornblith 2021, "Do wide and
// deep networks learn the same things?", with the estimator of Song et al. 2012.
#pragma once

#include "rae/core/tensor.hpp"

namespace rae {

/// The estimate of the Hilbert-Schmidt independence criterion inside CKA. `biased` is that of
/// Kornblith et al., which tends to 1 when a row has more elements than there are rows; `unbiased`
/// leaves out the similarity of a row to itself, and needs four rows.
enum class CkaEstimate { biased, unbiased };

/// Linear CKA of features x (N, D1) and y (N, D2) whose rows belong to the same N pictures. 1 for
/// features that are equal up to rotation, isotropic scale and translation; the biased value is in
/// [0, 1], the unbiased one near 0, and perhaps below it, for independent features. Throws
/// ShapeError unless both are contiguous, not empty and of the same N, ArgumentError for fewer than
/// two (unbiased: four) rows and for features that do not vary or are all equally
/// similar, NumericError for NaN or infinity.
[[nodiscard]] double linear_cka(View<const float> x, View<const float> y,
                                CkaEstimate estimate = CkaEstimate::unbiased);

}  // namespace rae
