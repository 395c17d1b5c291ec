#include "rae/metrics/linear_probe.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "core/cancellation.hpp"
#include "metrics/feature_rows.hpp"
#include "rae/core/parallel.hpp"
#include "rae/kernels/gemm.hpp"

namespace rae {
namespace {

constexpr index_t kBlock = 2048;  // features per block

void require_labelled(std::string_view where, const View<const float>& features,
                      std::size_t labels) {
  detail::require_features(where, "features", features);
  if (static_cast<std::size_t>(features.extent(0)) != labels)
    raise<ShapeError>(where, ": ", features.extent(0), " features but ", labels, " labels");
}

/// The normal equations of ridge regression.
struct NormalEquations {
  Eigen::MatrixXd gram, moments;  // (D, D), (D, classes)
  Eigen::MatrixXd solution{};     // (D, classes)
};

/// Solves them in a way that a CancellationScope can leave, which takes seconds for thousands of
/// features.
Eigen::MatrixXd solve(NormalEquations given) {
  const auto equations = std::make_shared<NormalEquations>(std::move(given));
  detail::run_cancellable([equations] {
    const Eigen::LDLT<Eigen::MatrixXd> solver(equations->gram);
    if (solver.info() != Eigen::Success)
      raise<NumericError>("fit_linear_probe: the normal equations have no solution");
    equations->solution = solver.solve(equations->moments);
  });
  return std::move(equations->solution);
}

}  // namespace

LinearProbe fit_linear_probe(View<const float> train, std::span<const std::int64_t> labels,
                             index_t classes, double ridge) {
  require_labelled("fit_linear_probe", train, labels.size());
  if (!(ridge > 0 && std::isfinite(ridge)))
    raise<ArgumentError>("fit_linear_probe: expected a positive ridge, got ", ridge);
  for (const std::int64_t label : labels)
    if (label < 0 || label >= classes)
      raise<ArgumentError>("fit_linear_probe: label ", label, " is outside [0, ", classes, ")");
  const index_t n = train.extent(0), d = train.extent(1);
  const std::vector<double> mean = detail::column_means(train);
  std::vector<double> share(static_cast<std::size_t>(classes), 0.0);
  for (const std::int64_t label : labels)
    share[static_cast<std::size_t>(label)] += 1.0 / static_cast<double>(n);

  // Sums over blocks of centred features: products within a block in float, sums over blocks in
  // double.
  Eigen::MatrixXd gram = Eigen::MatrixXd::Zero(d, d),
                  moments = Eigen::MatrixXd::Zero(d, classes);  // (D, D), (D, classes)
  Tensor<float> centred(Shape{std::min(n, kBlock), d}),
      targets(Shape{std::min(n, kBlock), classes}), squares(Shape{d, d}),
      products(Shape{d, classes});  // (block, D), (block, classes), (D, D), (D, classes)
  for (index_t begin = 0; begin < n; begin += kBlock) {
    const index_t rows = std::min(kBlock, n - begin);
    float *x = centred.data(), *y = targets.data();
    parallel_for(rows, 16, [&](index_t i) {
      for (index_t j = 0; j < d; ++j)
        x[i * d + j] = static_cast<float>(static_cast<double>(train.data()[(begin + i) * d + j]) -
                                          mean[static_cast<std::size_t>(j)]);
      for (index_t c = 0; c < classes; ++c)
        y[i * classes + c] =
            static_cast<float>((labels[static_cast<std::size_t>(begin + i)] == c ? 1.0 : 0.0) -
                               share[static_cast<std::size_t>(c)]);
    });
    const View<const float> block(x, {rows, d});  // (rows, D)
    gemm<float>(block.transposed(), block, squares.view());
    gemm<float>(block.transposed(), View<const float>(y, {rows, classes}), products.view());
    for (index_t i = 0; i < d; ++i) {
      stop_if_cancelled();
      for (index_t j = 0; j < d; ++j)
        gram(i, j) += static_cast<double>(std::as_const(squares)[i * d + j]);
      for (index_t c = 0; c < classes; ++c)
        moments(i, c) += static_cast<double>(std::as_const(products)[i * classes + c]);
    }
  }
  // The lower bound avoids a singular matrix if all features are constant.
  const double weight = ridge * std::max(gram.trace() / static_cast<double>(d), 1e-30);
  gram.diagonal().array() += weight;
  const Eigen::MatrixXd solution = solve({std::move(gram), std::move(moments)});  // (D, classes)

  LinearProbe probe{Tensor<float>(Shape{classes, d}), Tensor<float>(Shape{classes})};
  for (index_t c = 0; c < classes; ++c) {
    double bias = share[static_cast<std::size_t>(c)];
    for (index_t j = 0; j < d; ++j) {
      probe.weight[c * d + j] = static_cast<float>(solution(j, c));
      bias -= solution(j, c) * mean[static_cast<std::size_t>(j)];
    }
    probe.bias[c] = static_cast<float>(bias);
  }
  return probe;
}

double linear_probe_accuracy(const LinearProbe& probe, View<const float> test,
                             std::span<const std::int64_t> labels) {
  require_labelled("linear_probe_accuracy", test, labels.size());
  const index_t n = test.extent(0), classes = probe.weight.extent(0);
  if (test.extent(1) != probe.weight.extent(1))
    raise<ShapeError>("linear_probe_accuracy: expected features (N, ", probe.weight.extent(1),
                      "), got ", test.shape());
  Tensor<float> scores(Shape{n, classes});  // (N, classes)
  gemm(test, probe.weight.view().transposed(), scores.view(), Epilogue{.bias = probe.bias});
  index_t hits = 0;
  for (index_t i = 0; i < n; ++i) {
    const float* row = std::as_const(scores).data() + i * classes;
    hits += std::max_element(row, row + classes) - row == labels[static_cast<std::size_t>(i)];
  }
  return static_cast<double>(hits) / static_cast<double>(n);
}

}  // namespace rae
