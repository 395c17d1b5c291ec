#include "rae/metrics/ssim.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "metrics/feature_rows.hpp"
#include "rae/core/parallel.hpp"

namespace rae {
namespace {

constexpr index_t kRadius = 5;
constexpr std::size_t kMoments = 5;  // means of a, e, a^2, e^2, a e

std::array<double, 2 * kRadius + 1> gaussian_window() {
  std::array<double, 2 * kRadius + 1> window{};
  double sum = 0.0;
  for (std::size_t i = 0; i < window.size(); ++i) {
    const double distance = (static_cast<double>(i) - static_cast<double>(kRadius)) / 1.5;
    sum += window[i] = std::exp(-0.5 * distance * distance);
  }
  for (double& weight : window) weight /= sum;
  return window;
}

/// Reflects an index at the first and last pixel, without repeating these.
index_t reflected(index_t i, index_t n) { return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i; }

/// Mean SSIM of one plane (H, W); the moments are filtered along rows, then along columns.
template <class T>
double plane_ssim(const View<const T>& actual, const View<const T>& expected, index_t image,
                  index_t channel, SsimBorder border, double range) {
  static const auto kWindow = gaussian_window();
  const index_t height = actual.extent(2), width = actual.extent(3);
  const index_t margin = border == SsimBorder::crop ? kRadius : 0;
  const index_t columns = width - 2 * margin;
  std::vector<std::array<double, kMoments>> rows(static_cast<std::size_t>(height * columns));
  for (index_t y = 0; y < height; ++y)
    for (index_t x = 0; x < columns; ++x) {
      std::array<double, kMoments> sum{};
      for (index_t k = -kRadius; k <= kRadius; ++k) {
        const index_t at = reflected(x + margin + k, width);
        const double w = kWindow[static_cast<std::size_t>(k + kRadius)];
        const double a = static_cast<double>(actual(image, channel, y, at)),
                     e = static_cast<double>(expected(image, channel, y, at));
        sum[0] += w * a;
        sum[1] += w * e;
        sum[2] += w * a * a;
        sum[3] += w * e * e;
        sum[4] += w * (a * e);  // this order makes SSIM symmetric to the last bit
      }
      rows[static_cast<std::size_t>(y * columns + x)] = sum;
    }
  const double c1 = 0.01 * range * 0.01 * range, c2 = 0.03 * range * 0.03 * range;
  double total = 0.0;
  for (index_t y = margin; y < height - margin; ++y)
    for (index_t x = 0; x < columns; ++x) {
      std::array<double, kMoments> m{};
      for (index_t k = -kRadius; k <= kRadius; ++k) {
        const auto& row = rows[static_cast<std::size_t>(reflected(y + k, height) * columns + x)];
        const double w = kWindow[static_cast<std::size_t>(k + kRadius)];
        for (std::size_t i = 0; i < kMoments; ++i) m[i] += w * row[i];
      }
      const double variance_a = std::max(0.0, m[2] - m[0] * m[0]),
                   variance_e = std::max(0.0, m[3] - m[1] * m[1]);
      const double covariance = m[4] - m[0] * m[1];
      total += (2 * m[0] * m[1] + c1) * (2 * covariance + c2) /
               ((m[0] * m[0] + m[1] * m[1] + c1) * (variance_a + variance_e + c2));
    }
  return total / static_cast<double>((height - 2 * margin) * columns);
}

template <class T>
std::vector<double> per_image(const View<const T>& actual, const View<const T>& expected,
                              SsimBorder border, double data_range) {
  require_shape("ssim", actual.shape(), expected.shape());
  if (actual.shape().rank() != 4 || actual.numel() == 0)
    raise<ShapeError>("ssim: expected pictures (B, C, H, W), got ", actual.shape());
  const index_t smallest = border == SsimBorder::crop ? 2 * kRadius + 1 : kRadius + 1;
  if (actual.extent(2) < smallest || actual.extent(3) < smallest)
    raise<ShapeError>("ssim: expected sides of at least ", smallest, " pixels, got ",
                      actual.shape());
  if (!(data_range > 0.0 && std::isfinite(data_range)))
    raise<ArgumentError>("ssim: expected a positive data range, got ", data_range);
  const index_t images = actual.extent(0), channels = actual.extent(1);
  std::vector<double> planes(static_cast<std::size_t>(images * channels));
  parallel_for(images * channels, 1, [&](index_t plane) {
    const double value =
        plane_ssim(actual, expected, plane / channels, plane % channels, border, data_range);
    if (!std::isfinite(value))
      raise<NumericError>("ssim: picture ", plane / channels, " contains NaN or infinity");
    planes[static_cast<std::size_t>(plane)] = value;
  });
  std::vector<double> out(static_cast<std::size_t>(images));
  for (index_t i = 0; i < images; ++i) {
    const auto first = planes.begin() + i * channels;
    out[static_cast<std::size_t>(i)] =
        std::accumulate(first, first + channels, 0.0) / static_cast<double>(channels);
  }
  return out;
}

}  // namespace

std::vector<double> ssim_per_image(View<const std::uint8_t> actual,
                                   View<const std::uint8_t> expected, SsimBorder border) {
  return per_image(actual, expected, border, 255.0);
}

std::vector<double> ssim_per_image(View<const float> actual, View<const float> expected,
                                   SsimBorder border, double data_range) {
  return per_image(actual, expected, border, data_range);
}

double ssim(View<const std::uint8_t> actual, View<const std::uint8_t> expected, SsimBorder border) {
  return detail::mean_of(ssim_per_image(actual, expected, border));
}

double ssim(View<const float> actual, View<const float> expected, SsimBorder border,
            double data_range) {
  return detail::mean_of(ssim_per_image(actual, expected, border, data_range));
}

}  // namespace rae
