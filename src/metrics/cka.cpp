#include "rae/metrics/cka.hpp"

#include <algorithm>
#include <cmath>

#include "metrics/feature_rows.hpp"
#include "rae/core/parallel.hpp"
#include "rae/kernels/gemm.hpp"

namespace rae {
namespace {

/// Rows (N, D) less the mean of their columns.
Tensor<double> centred_rows(const View<const float>& rows) {
  const std::vector<double> mean = detail::column_means(rows);
  const index_t n = rows.extent(0), d = rows.extent(1);
  Tensor<double> out(Shape{n, d});  // (N, D)
  double* x = out.data();
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j < d; ++j)
      x[i * d + j] =
          static_cast<double>(rows.data()[i * d + j]) - mean[static_cast<std::size_t>(j)];
  return out;
}

/// |x^T y|^2 (Frobenius) for x (N, D1) and y (N, D2), which is tr(K L) of the kernels K = x x^T and
/// L = y y^T.
double squared_product(const Tensor<double>& x, const Tensor<double>& y) {
  Tensor<double> product(Shape{x.extent(1), y.extent(1)});  // (D1, D2)
  gemm<double>(x.view().transposed(), y.view(), product.view());
  double sum = 0;
  for (const double value : std::as_const(product).span()) sum += value * value;
  return sum;
}

/// |x_i|^2 of each row of x (N, D).
std::vector<double> squared_lengths(const Tensor<double>& x) {
  const index_t n = x.extent(0), d = x.extent(1);
  std::vector<double> out(static_cast<std::size_t>(n), 0.0);
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j < d; ++j)
      out[static_cast<std::size_t>(i)] += x.data()[i * d + j] * x.data()[i * d + j];
  return out;
}

/// N (N - 3) times the unbiased HSIC of Song et al. (equation 5) with the kernels x x^T and y y^T,
/// whose diagonals are set to zero. The rows are centred, so each row of a full kernel sums to
/// zero: the sums of row i without the diagonal are -|x_i|^2.
double unbiased_alignment(const Tensor<double>& x, const Tensor<double>& y) {
  const std::vector<double> a = squared_lengths(x), b = squared_lengths(y);
  double diagonal = 0, sum_a = 0, sum_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    diagonal += a[i] * b[i];
    sum_a += a[i];
    sum_b += b[i];
  }
  const double n = static_cast<double>(a.size());
  // tr(K~ L~) = tr(K L) - sum a_i b_i; 1^T K~ 1 1^T L~ 1 = sum_a sum_b; 1^T K~ L~ 1 = sum a_i b_i.
  return squared_product(x, y) - diagonal + sum_a * sum_b / ((n - 1) * (n - 2)) -
         2 * diagonal / (n - 2);
}

/// True for an alignment of x (N, D) with itself that is more than a rounding error.
bool is_positive(double alignment, const Tensor<double>& x) {
  double sum = 0;
  for (const double length : squared_lengths(x)) sum += length;
  return alignment > 1e-12 * sum * sum;
}

}  // namespace

double linear_cka(View<const float> x, View<const float> y, CkaEstimate estimate) {
  detail::require_features("linear_cka", "first features", x);
  detail::require_features("linear_cka", "second features", y);
  const index_t n = x.extent(0), least = estimate == CkaEstimate::biased ? 2 : 4;
  if (y.extent(0) != n)
    raise<ShapeError>("linear_cka: expected features of the same pictures, got ", n, " and ",
                      y.extent(0), " rows");
  if (n < least) raise<ArgumentError>("linear_cka: expected at least ", least, " rows, got ", n);
  const Tensor<double> a = centred_rows(x), b = centred_rows(y);  // (N, D1), (N, D2)
  const auto alignment = estimate == CkaEstimate::biased ? squared_product : unbiased_alignment;
  const double first = alignment(a, a), second = alignment(b, b);
  if (!is_positive(first, a) || !is_positive(second, b))
    raise<ArgumentError>("linear_cka: the features do not vary between pictures, or all pictures ",
                         "are equally similar");
  return alignment(a, b) / (std::sqrt(first) * std::sqrt(second));
}

}  // namespace rae
