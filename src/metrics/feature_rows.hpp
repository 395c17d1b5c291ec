// Checks and means of feature rows, shared by the metrics.
#pragma once

#include <numeric>
#include <string_view>
#include <vector>

#include "rae/core/cancellation.hpp"
#include "rae/core/tensor.hpp"

namespace rae::detail {

/// Rows in a block of the comparison of all queries with all rows of the base.
inline constexpr index_t kQueryBlock = 512, kBaseBlock = 2048;

/// Throws ShapeError unless `features` is a contiguous, nonempty (N, D), and NumericError unless
/// all elements are finite. `where` names the function in the message, `argument` its argument.
inline void require_features(std::string_view where, std::string_view argument,
                             const View<const float>& features) {
  if (features.empty() || features.shape().rank() != 2 || features.numel() == 0 ||
      !features.is_contiguous())
    raise<ShapeError>(where, ": expected contiguous ", argument, " (N, D), got ", features.shape());
  if (!all_finite(
          std::span<const float>(features.data(), static_cast<std::size_t>(features.numel()))))
    raise<NumericError>(where, ": the ", argument, " contain NaN or infinity");
}

/// Means (D) of the columns of `rows` (N, D).
[[nodiscard]] inline std::vector<double> column_means(const View<const float>& rows) {
  const index_t n = rows.extent(0), d = rows.extent(1);
  std::vector<double> mean(static_cast<std::size_t>(d), 0.0);
  for (index_t i = 0; i < n; ++i) {
    if (i % 256 == 0) stop_if_cancelled();
    for (index_t j = 0; j < d; ++j)
      mean[static_cast<std::size_t>(j)] += static_cast<double>(rows.data()[i * d + j]);
  }
  for (double& m : mean) m /= static_cast<double>(n);
  return mean;
}

/// Arithmetic mean of nonempty `values`.
[[nodiscard]] inline double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace rae::detail
