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

/// What happens where the window leaves the picture. The results of the two conventions differ by a
/// few percent.
enum class SsimBorder {
  reflect,  ///< the picture is mirrored and every pixel counts: torchmetrics since 1.5
  crop      ///< only windows inside of the picture count: torchmetrics up to 1.2
};

/// A batch (B, H, W, C) seen as (B, C, H, W); nothing is copied. Throws ShapeError for another
/// rank.
template <class T>
[[nodiscard]] View<T> channels_first(View<T> pictures) {
  if (pictures.shape().rank() != 4)
    raise<ShapeError>("channels_first: expected (B, H, W, C), got ", pictures.shape());
  const Shape shape{pictures.extent(0), pictures.extent(3), pictures.extent(1), pictures.extent(2)};
  return {pictures.data(),
          shape,
          {pictures.stride(0), pictures.stride(3), pictures.stride(1), pictures.stride(2)}};
}

/// SSIM of each picture of a batch (B, C, H, W), any strides, samples from 0 to 255. Computed in
/// double. Throws ShapeError for different shapes, and for sides below 6 (reflect) or 11 (crop).
[[nodiscard]] std::vector<double> ssim_per_image(View<const std::uint8_t> actual,
                                                 View<const std::uint8_t> expected,
                                                 SsimBorder border = SsimBorder::reflect);

/// The same for real samples that span `data_range`. Throws ArgumentError for a range that is not
/// positive, NumericError for NaN or infinity.
[[nodiscard]] std::vector<double> ssim_per_image(View<const float> actual,
                                                 View<const float> expected,
                                                 SsimBorder border = SsimBorder::reflect,
                                                 double data_range = 1.0);

/// Mean of `ssim_per_image`.
[[nodiscard]] double ssim(View<const std::uint8_t> actual, View<const std::uint8_t> expected,
                          SsimBorder border = SsimBorder::reflect);
[[nodiscard]] double ssim(View<const float> actual, View<const float> expected,
                          SsimBorder border = SsimBorder::reflect, double data_range = 1.0);

}  // namespace rae
