// Peak signal-to-noise ratio of reconstructions.
//
// Source: reconstruction metrics of section 3 of the paper, as the official evaluation computes
// them: 10 log10(range^2 / mse) per picture, where the mean squared error of values in [0, 1] is
// bounded below by 1e-10 (100 dB).
#pragma once

#include <cstdint>
#include <vector>

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// PSNR in dB (B) of each picture of contiguous batches (B, ...), values in [0, 255]. Throws
/// ShapeError for different or empty shapes.
[[nodiscard]] std::vector<double> psnr_per_image(View<const std::uint8_t> actual,
                                                 View<const std::uint8_t> expected);

/// PSNR in dB of real values that span `data_range`. Throws ArgumentError for a range that is not
/// positive, NumericError for NaN or infinity.
[[nodiscard]] std::vector<double> psnr_per_image(View<const float> actual,
                                                 View<const float> expected,
                                                 double data_range = 1.0);

/// Mean of `psnr_per_image` over the batch.
[[nodiscard]] double psnr(View<const std::uint8_t> actual, View<const std::uint8_t> expected);
[[nodiscard]] double psnr(View<const float> actual, View<const float> expected,
                          double data_range = 1.0);

}  // namespace rae
