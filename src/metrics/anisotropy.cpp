#include "rae/metrics/anisotropy.hpp"

#include <algorithm>
#include <cmath>

#include "metrics/feature_rows.hpp"

namespace rae {

double anisotropy(View<const float> tokens) {
  detail::require_features("anisotropy", "tokens", tokens);
  const index_t n = tokens.extent(0), d = tokens.extent(1);
  std::vector<double> sum(static_cast<std::size_t>(d), 0.0);  // of unit vectors, (D)
  index_t count = 0;
  for (index_t i = 0; i < n; ++i) {
    if (i % 256 == 0) stop_if_cancelled();
    const float* token = tokens.data() + i * d;
    double squares = 0;
    for (index_t j = 0; j < d; ++j)
      squares += static_cast<double>(token[j]) * static_cast<double>(token[j]);
    if (squares == 0) continue;
    ++count;
    const double scale = 1 / std::sqrt(squares);
    for (index_t j = 0; j < d; ++j)
      sum[static_cast<std::size_t>(j)] += scale * static_cast<double>(token[j]);
  }
  if (count < 2)
    raise<ArgumentError>("anisotropy: expected two tokens that are not zero, got ", count);
  // |sum u_i|^2 = N + sum over i != j of u_i . u_j.
  double length = 0;
  for (const double s : sum) length += s * s;
  const double tokens_used = static_cast<double>(count);
  return std::clamp((length - tokens_used) / (tokens_used * (tokens_used - 1)), -1.0, 1.0);
}

}  // namespace rae
