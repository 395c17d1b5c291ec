// Linear classification of frozen features: measures how well a linear layer separates the classes.
// Source: Alain and Bengio 2016, "Understanding intermediate layers using linear classifier
// probes"; here by ridge regression on one-hot labels, which has a closed form and no settings to
// tune.
#pragma once

#include <cstdint>
#include <span>

#include "rae/core/tensor.hpp"

namespace rae {

/// A linear classifier of features.
struct LinearProbe {
  Tensor<float> weight;  ///< (classes, D)
  Tensor<float> bias;    ///< (classes)
};

/// Fits a probe: minimises the mean over pictures of the squared error on one-hot labels, plus
/// `ridge` * (mean variance of the features) * |weight|^2. train (N, D), labels (N) in [0,
/// classes). Throws ShapeError, ArgumentError for labels out of range or a ridge that is not
/// positive, NumericError for NaN or infinity.
[[nodiscard]] LinearProbe fit_linear_probe(View<const float> train,
                                           std::span<const std::int64_t> labels, index_t classes,
                                           double ridge = 1e-3);

/// Share of features (N, D) with labels (N) that the probe classifies correctly, in [0, 1]. Throws
/// ShapeError, and NumericError for NaN or infinity.
[[nodiscard]] double linear_probe_accuracy(const LinearProbe& probe, View<const float> test,
                                           std::span<const std::int64_t> labels);

}  // namespace rae
