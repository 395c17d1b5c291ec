#include "rae/metrics/token_spectrum.hpp"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "core/cancellation.hpp"
#include "metrics/feature_rows.hpp"
#include "rae/metrics/frechet.hpp"

namespace rae {
namespace {

void require_spectrum(const char* where, std::span<const double> values) {
  for (const double value : values)
    if (!(value >= 0) || !std::isfinite(value))
      raise<ArgumentError>(where, ": expected finite values >= 0, got ", value);
}

}  // namespace

std::vector<double> token_spectrum(View<const float> tokens) {
  detail::require_features("token_spectrum", "tokens", tokens);
  const index_t n = tokens.extent(0), d = tokens.extent(1);
  std::vector<double> out(static_cast<std::size_t>(d), 0.0);
  if (n < 2) return out;
  FeatureStatistics statistics(d);
  statistics.update(tokens);
  const Tensor<double> covariance = statistics.covariance();  // (D, D), divided by N - 1
  const auto matrix = std::make_shared<const Eigen::MatrixXd>(
      Eigen::Map<const Eigen::MatrixXd>(covariance.data(), d, d));
  const auto solver = std::make_shared<Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>>();
  detail::run_cancellable([=] { solver->compute(*matrix, Eigen::EigenvaluesOnly); });
  if (solver->info() != Eigen::Success)
    raise<NumericError>("token_spectrum: the eigenvalues did not converge");
  const double factor = static_cast<double>(n - 1) / static_cast<double>(n);
  for (index_t i = 0; i < d; ++i)
    out[static_cast<std::size_t>(d - 1 - i)] = std::max(0.0, factor * solver->eigenvalues()(i));
  return out;
}

double effective_rank(std::span<const double> singular_values) {
  require_spectrum("effective_rank", singular_values);
  // Divided by the largest, so that neither the sum nor the shares overflow.
  double largest = 0, sum = 0, entropy = 0;
  for (const double value : singular_values) largest = std::max(largest, value);
  if (largest == 0) return 0;
  for (const double value : singular_values) sum += value / largest;
  for (const double value : singular_values) {
    const double share = value / largest / sum;
    if (share > 0) entropy -= share * std::log(share);
  }
  return std::exp(entropy);
}

double effective_rank(View<const float> tokens) {
  std::vector<double> values = token_spectrum(tokens);
  // Below this, eigenvalues are the rounding errors of the largest.
  const double noise = values.front() * 1e-13 * static_cast<double>(values.size());
  for (double& value : values) value = value > noise ? std::sqrt(value) : 0.0;
  return effective_rank(std::span<const double>(values));
}

double least_loss_of_width(std::span<const double> spectrum, index_t width) {
  require_spectrum("least_loss_of_width", spectrum);
  if (width < 0) raise<ArgumentError>("least_loss_of_width: expected a width >= 0, got ", width);
  if (spectrum.empty()) raise<ArgumentError>("least_loss_of_width: the spectrum is empty");
  std::vector<double> ascending(spectrum.begin(), spectrum.end());
  std::sort(ascending.begin(), ascending.end());
  const index_t d = static_cast<index_t>(ascending.size());
  const index_t lost = std::max<index_t>(0, d - width);
  const double sum = std::accumulate(ascending.begin(), ascending.begin() + lost, 0.0);
  return (sum + static_cast<double>(lost)) / static_cast<double>(d);
}

}  // namespace rae
