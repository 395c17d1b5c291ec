// Structural similarity of reconstructions: Gaussian window 11 x 11 with sigma 1.5, k1 = 0.01, k2 =
// 0.03.
//
// Source: reconstruction metrics of section 3 of the paper, as torchmetrics computes them (Wang,
// Bovik, Sheikh, Simoncelli 2004).
#pragma once

#include <cstdint>
#include <vector>

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// Treatment of windows that extend beyond the picture. The two conventions differ by a few
/// percent.
enum class SsimBorder {
  reflect,  ///< the picture is reflected and every pixel counts: torchmetrics since 1.5
  crop      ///< only windows inside the picture count: torchmetrics up to 1.2
};

/// A view (B, C, H, W) of a batch (B, H, W, C), without a copy. Throws ShapeError for another rank.
template <class T>
[[nodiscard]] View<T> channels_first(View<T> pictures) {
  if (pictures.shape().rank() != 4)
    raise<ShapeError>("channels_first: expected (B, H, W, C), got ", pictures.shape());
  const Shape shape{pictures.extent(0), pictures.extent(3), pictures.extent(1), pictures.extent(2)};
  return {pictures.data(),
          shape,
          {pictures.stride(0), pictures.stride(3), pictures.stride(1), pictures.stride(2)}};
}

/// SSIM (B), in [-1, 1], of each picture of batches (B, C, H, W) with any strides, values in [0,
/// 255]. Computed in double. Throws ShapeError for different shapes, and for sides below 6
/// (reflect) or 11 (crop).
[[nodiscard]] std::vector<double> ssim_per_image(View<const std::uint8_t> actual,
                                                 View<const std::uint8_t> expected,
                                                 SsimBorder border = SsimBorder::reflect);

/// SSIM of real values that span `data_range`. Throws ArgumentError for a range that is not
/// positive, NumericError for NaN or infinity.
[[nodiscard]] std::vector<double> ssim_per_image(View<const float> actual,
                                                 View<const float> expected,
                                                 SsimBorder border = SsimBorder::reflect,
                                                 double data_range = 1.0);

/// Mean of `ssim_per_image` over the batch.
[[nodiscard]] double ssim(View<const std::uint8_t> actual, View<const std::uint8_t> expected,
                          SsimBorder border = SsimBorder::reflect);
[[nodiscard]] double ssim(View<const float> actual, View<const float> expected,
                          SsimBorder border = SsimBorder::reflect, double data_range = 1.0);

}  // namespace rae
