#include "rae/metrics/frechet.hpp"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <memory>

#include "core/cancellation.hpp"
#include "rae/core/parallel.hpp"
#include "rae/kernels/gemm.hpp"

namespace rae {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::Map<const RowMajor> as_matrix(const Tensor<double>& t) {
  return {t.data(), t.extent(0), t.extent(1)};
}

/// scatter (D, D) += weight * delta delta^T, with delta (D).
void add_outer(Tensor<double>& scatter, const Tensor<double>& delta, double weight) {
  const index_t d = delta.numel();
  double* out = scatter.data();
  const double* v = delta.data();
  parallel_for(d, 64, [=](index_t i) {
    const double factor = weight * v[i];
    for (index_t j = 0; j < d; ++j) out[i * d + j] += factor * v[j];
  });
}

void require_covariance(const Tensor<double>& covariance, index_t d) {
  require_shape("frechet_distance: covariance", covariance.shape(), Shape{d, d});
  if (!all_finite(covariance.span()))
    raise<NumericError>("frechet_distance: a covariance contains NaN or infinity");
  const auto c = as_matrix(covariance);
  const double largest = c.cwiseAbs().maxCoeff();
  for (index_t i = 0; i < d; ++i)
    for (index_t j = 0; j < i; ++j)
      if (std::abs(c(i, j) - c(j, i)) > 1e-8 * largest)
        raise<NumericError>("frechet_distance: a covariance is not symmetric");
}

using EigenSolver = Eigen::SelfAdjointEigenSolver<RowMajor>;

/// The eigenvalues of a symmetric matrix (D, D), and its eigenvectors unless `options` says not so,
/// in a way that a CancellationScope can leave: 2048 features take many seconds.
EigenSolver decompose(const Tensor<double>& symmetric, int options = Eigen::ComputeEigenvectors) {
  constexpr index_t kQuick = 256;  // takes milliseconds
  if (symmetric.extent(0) <= kQuick) return EigenSolver(as_matrix(symmetric), options);
  const auto solver = std::make_shared<EigenSolver>();
  const auto matrix = std::make_shared<const RowMajor>(as_matrix(symmetric));
  detail::run_cancellable([=] { solver->compute(*matrix, options); });
  return std::move(*solver);
}

/// tr((C1 C2)^(1/2)). With C1 = A^T A, the eigenvalues of C1 C2 equal those of the symmetric A C2
/// A^T.
double trace_of_root(const Tensor<double>& covariance1, const Tensor<double>& covariance2) {
  const index_t d = covariance1.extent(0);
  const EigenSolver first = decompose(covariance1);
  if (first.info() != Eigen::Success)
    raise<NumericError>("frechet_distance: the eigenvalues of a covariance did not converge");
  Tensor<double> a(Shape{d, d}), product(Shape{d, d}), symmetric(Shape{d, d});  // (D, D)
  Eigen::Map<RowMajor>(a.data(), d, d) =
      first.eigenvalues().cwiseMax(0.0).cwiseSqrt().asDiagonal() * first.eigenvectors().transpose();
  gemm<double>(std::as_const(a).view(), covariance2.view(), product.view());
  gemm<double>(std::as_const(product).view(), std::as_const(a).view().transposed(),
               symmetric.view());
  const EigenSolver second = decompose(symmetric, Eigen::EigenvaluesOnly);
  if (second.info() != Eigen::Success)
    raise<NumericError>("frechet_distance: the eigenvalues of a product did not converge");
  return second.eigenvalues().cwiseMax(0.0).cwiseSqrt().sum();
}

}  // namespace

FeatureStatistics::FeatureStatistics(index_t dimension) {
  if (dimension < 1 || dimension > 65536)
    raise<ArgumentError>("FeatureStatistics: expected a dimension in [1, 65536], got ", dimension);
  mean_ = Tensor<double>::zeros(Shape{dimension});
  scatter_ = Tensor<double>::zeros(Shape{dimension, dimension});
}

template <class T>
void FeatureStatistics::add(View<const T> features) {
  const index_t d = dimension();
  if (features.empty() || features.shape().rank() != 2 || features.extent(1) != d ||
      features.extent(0) < 1 || !features.is_contiguous())
    raise<ShapeError>("FeatureStatistics::update: expected contiguous features (N, ", d,
                      ") with N >= 1, got ", features.shape());
  const index_t rows = features.extent(0);
  if (!all_finite(std::span<const T>(features.data(), static_cast<std::size_t>(rows * d))))
    raise<NumericError>("FeatureStatistics::update: the features contain NaN or infinity");
  constexpr index_t kBlock = 4096;  // rows centred at once
  for (index_t begin = 0; begin < rows; begin += kBlock) {
    const index_t n = std::min(kBlock, rows - begin);
    const T* source = features.data() + begin * d;
    Tensor<double> block(Shape{n, d}),
        delta = Tensor<double>::zeros(Shape{d});  // (n, D), (D): block mean, then its deviation
    double *x = block.data(), *m = delta.data();
    for (index_t i = 0; i < n; ++i)
      for (index_t j = 0; j < d; ++j) m[j] += static_cast<double>(source[i * d + j]);
    for (index_t j = 0; j < d; ++j) m[j] /= static_cast<double>(n);
    parallel_for(n, 64, [=](index_t i) {
      for (index_t j = 0; j < d; ++j) x[i * d + j] = static_cast<double>(source[i * d + j]) - m[j];
    });
    gemm<double>(std::as_const(block).view().transposed(), std::as_const(block).view(),
                 scatter_.view(), {.accumulate = true});
    const double total = static_cast<double>(count_ + n);
    double* mean = mean_.data();
    for (index_t j = 0; j < d; ++j) {
      m[j] -= mean[j];
      mean[j] += m[j] * (static_cast<double>(n) / total);
    }
    if (count_ > 0)
      add_outer(scatter_, delta, static_cast<double>(count_) * static_cast<double>(n) / total);
    count_ += n;
  }
}

void FeatureStatistics::update(View<const float> features) { add(features); }
void FeatureStatistics::update(View<const double> features) { add(features); }

void FeatureStatistics::merge(const FeatureStatistics& other) {
  require_shape("FeatureStatistics::merge", other.mean_.shape(), mean_.shape());
  if (other.count_ == 0) return;
  const double mine = static_cast<double>(count_), theirs = static_cast<double>(other.count_);
  const index_t d = dimension();
  Tensor<double> delta(Shape{d});  // (D)
  double *difference = delta.data(), *mean = mean_.data(), *scatter = scatter_.data();
  const double *their_mean = other.mean_.data(), *their_scatter = other.scatter_.data();
  for (index_t j = 0; j < d; ++j) {
    difference[j] = their_mean[j] - mean[j];
    mean[j] += difference[j] * (theirs / (mine + theirs));
  }
  for (index_t i = 0; i < d * d; ++i) scatter[i] += their_scatter[i];
  add_outer(scatter_, delta, mine * theirs / (mine + theirs));
  count_ += other.count_;
}

Tensor<double> FeatureStatistics::mean() const {
  if (count_ < 1) raise<ArgumentError>("FeatureStatistics::mean: no features yet");
  return mean_;
}

Tensor<double> FeatureStatistics::covariance() const {
  if (count_ < 2)
    raise<ArgumentError>("FeatureStatistics::covariance: needs two features, got ", count_);
  Tensor<double> out = scatter_;  // (D, D)
  for (double& value : out.span()) value /= static_cast<double>(count_ - 1);
  return out;
}

double frechet_distance(const Tensor<double>& mean1, const Tensor<double>& covariance1,
                        const Tensor<double>& mean2, const Tensor<double>& covariance2) {
  if (mean1.empty() || mean1.rank() != 1 || mean1.numel() < 1)
    raise<ShapeError>("frechet_distance: expected means (D), got ", mean1.shape());
  require_shape("frechet_distance: mean", mean2.shape(), mean1.shape());
  const index_t d = mean1.numel();
  require_covariance(covariance1, d);
  require_covariance(covariance2, d);
  double squares = 0.0, traces = 0.0;
  for (index_t i = 0; i < d; ++i) {
    const double difference = mean1[i] - mean2[i];
    squares += difference * difference;
    traces += covariance1[i * d + i] + covariance2[i * d + i];
  }
  const double distance = squares + traces - 2.0 * trace_of_root(covariance1, covariance2);
  if (!std::isfinite(distance))
    raise<NumericError>("frechet_distance: the means contain NaN or infinity");
  return std::max(0.0, distance);
}

double frechet_distance(const FeatureStatistics& first, const FeatureStatistics& second) {
  return frechet_distance(first.mean(), first.covariance(), second.mean(), second.covariance());
}

}  // namespace rae
