#include "rae/kernels/orthogonalize.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/contiguous.hpp"
#include "rae/core/parallel.hpp"
#include "rae/core/tensor.hpp"
#include "rae/kernels/gemm.hpp"
#include "rae/kernels/optimizer_step.hpp"

namespace rae {
namespace {

/// a, b, c of the five steps, before the safety factor.
constexpr double kPolarExpress[5][3] = {
    {8.28721201814563, -23.595886519098837, 17.300387312530933},
    {4.107059111542203, -2.9478499167379106, 0.5448431082926601},
    {3.9486908534822946, -2.908902115952949, 0.5518191394370137},
    {3.3184196573706015, -2.488488024314874, 0.51004894012372},
    {2.300652019954817, -1.6689039845749493, 0.4188073119525673}};
constexpr double kSafety = 1.05;

/// out = x * a + y * b, for equal sizes; `out` may be x.
template <Real T>
void combine(index_t n, const T* x, double a, const T* y, double b, T* out) {
  const T first = static_cast<T>(a), second = static_cast<T>(b);
  detail::parallel_elements(n, [=](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) out[i] = first * x[i] + second * y[i];
  });
}

/// x = its orthogonal factor, for x (M, N) with M <= N.
template <Real T>
void iterate(Tensor<T>& x) {
  const index_t m = x.extent(0), n = x.extent(1);
  const double norm = std::sqrt(sum_of_squares<T>(std::as_const(x).view()));
  combine(x.numel(), x.data(), 1 / (norm + 1e-7), x.data(), 0.0, x.data());
  Tensor<T> gram(Shape{m, m}), square(Shape{m, m}), product(Shape{m, n});
  for (const auto& [a, b, c] : kPolarExpress) {
    const View<const T> current = std::as_const(x).view();
    gemm<T>(current, current.transposed(), gram.view());
    gemm<T>(std::as_const(gram).view(), std::as_const(gram).view(), square.view());
    combine<T>(m * m, gram.data(), b / std::pow(kSafety, 3), square.data(),
               c / std::pow(kSafety, 5), gram.data());
    gemm<T>(std::as_const(gram).view(), current, product.view());
    combine<T>(m * n, x.data(), a / kSafety, product.data(), 1.0, x.data());
  }
}

}  // namespace

template <Real T>
void orthogonalize(View<const T> matrix, View<T> out) {
  if (matrix.shape().rank() != 2)
    raise<ShapeError>("orthogonalize: expected a matrix, got ", matrix.shape());
  require_shape("orthogonalize: out", out.shape(), matrix.shape());
  const index_t m = matrix.extent(0), n = matrix.extent(1);
  if (m == 0 || n == 0) return;
  const bool tall = m > n;
  Tensor<T> x(tall ? Shape{n, m} : Shape{m, n});
  const auto copy = [&](const auto& from, auto to) {
    const index_t rows = to.extent(0), columns = to.extent(1);
    for (index_t i = 0; i < rows; ++i)
      for (index_t j = 0; j < columns; ++j) to(i, j) = from(i, j);
  };
  copy(tall ? matrix.transposed() : matrix, x.view());
  iterate(x);
  const View<const T> result = std::as_const(x).view();
  copy(tall ? result.transposed() : result, out);
}

template <Real T>
void muon_step(View<T> param, View<const T> grad, View<T> momentum, index_t parts,
               const MuonOptions& o, double grad_scale) {
  if (param.shape().rank() != 2)
    raise<ShapeError>("muon_step: expected a matrix, got ", param.shape());
  require_shape("muon_step: grad", grad.shape(), param.shape());
  require_shape("muon_step: momentum", momentum.shape(), param.shape());
  detail::require_elements("muon_step", param.numel(), param, grad, momentum);
  if (parts < 1 || param.extent(0) % parts != 0)
    raise<ArgumentError>("muon_step: ", parts, " parts do not divide ", param.extent(0), " rows");
  const index_t rows = param.extent(0) / parts, columns = param.extent(1);
  combine<T>(param.numel(), momentum.data(), o.momentum, grad.data(), grad_scale, momentum.data());
  Tensor<T> update(Shape{rows, columns});
  const double size = o.lr * 0.2 * std::sqrt(static_cast<double>(std::max(rows, columns)));
  for (index_t i = 0; i < parts; ++i) {
    const index_t at = i * rows * columns;
    if (o.nesterov)
      combine<T>(update.numel(), grad.data() + at, grad_scale, momentum.data() + at, o.momentum,
                 update.data());
    else
      copy_elements(static_cast<const T*>(momentum.data() + at), update.numel(), update.data());
    orthogonalize<T>(std::as_const(update).view(), update.view());
    combine<T>(update.numel(), param.data() + at, 1.0 - o.lr * o.weight_decay, update.data(), -size,
               param.data() + at);
  }
}

template void orthogonalize<float>(View<const float>, View<float>);
template void orthogonalize<double>(View<const double>, View<double>);
template void muon_step<float>(View<float>, View<const float>, View<float>, index_t,
                               const MuonOptions&, double);
template void muon_step<double>(View<double>, View<const double>, View<double>, index_t,
                                const MuonOptions&, double);

}  // namespace rae
