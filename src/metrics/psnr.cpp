#include "rae/metrics/psnr.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "metrics/feature_rows.hpp"
#include "rae/core/parallel.hpp"

namespace rae {
namespace {

template <class T>
std::vector<double> per_image(const View<const T>& actual, const View<const T>& expected,
                              double data_range) {
  require_shape("psnr", actual.shape(), expected.shape());
  if (actual.shape().rank() < 2 || actual.numel() == 0)
    raise<ShapeError>("psnr: expected a batch (B, ...) of pictures, got ", actual.shape());
  if (!actual.is_contiguous() || !expected.is_contiguous())
    raise<ShapeError>("psnr: expected contiguous views");
  if (!(data_range > 0.0 && std::isfinite(data_range)))
    raise<ArgumentError>("psnr: expected a positive data range, got ", data_range);
  const index_t images = actual.extent(0), n = actual.numel() / images;
  std::vector<double> out(static_cast<std::size_t>(images));
  parallel_for(images, 1, [&](index_t image) {
    const T *a = actual.data() + image * n, *e = expected.data() + image * n;
    double sum = 0.0;
    for (index_t i = 0; i < n; ++i) {
      const double d = static_cast<double>(a[i]) - static_cast<double>(e[i]);
      sum += d * d;
    }
    if (!std::isfinite(sum))
      raise<NumericError>("psnr: picture ", image, " contains NaN or infinity");
    const double mse = sum / static_cast<double>(n) / (data_range * data_range);
    out[static_cast<std::size_t>(image)] = -10.0 * std::log10(std::max(mse, 1e-10));
  });
  return out;
}

}  // namespace

std::vector<double> psnr_per_image(View<const std::uint8_t> actual,
                                   View<const std::uint8_t> expected) {
  return per_image(actual, expected, 255.0);
}

std::vector<double> psnr_per_image(View<const float> actual, View<const float> expected,
                                   double data_range) {
  return per_image(actual, expected, data_range);
}

double psnr(View<const std::uint8_t> actual, View<const std::uint8_t> expected) {
  return detail::mean_of(psnr_per_image(actual, expected));
}

double psnr(View<const float> actual, View<const float> expected, double data_range) {
  return detail::mean_of(psnr_per_image(actual, expected, data_range));
}

}  // namespace rae
