// A weight divided by its spectral norm, for Tensor (inference) and for Var (recorded, with a
// gradient). Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks",
// equations 8 and 12; torch.nn.utils.spectral_norm.
#pragma once

#include "rae/autograd/var.hpp"

namespace rae {

namespace detail {
/// u^T W v in double, for weight (O, ...) read as a matrix W (O, K), u (O) and v (K).
template <Real T>
double spectral_norm(const Tensor<T>& weight, const Tensor<T>& u, const Tensor<T>& v) {
  const index_t rows = weight.extent(0), columns = weight.numel() / rows;
  require_shape("spectral_normalize: u", u.shape(), {rows});
  require_shape("spectral_normalize: v", v.shape(), {columns});
  double sigma = 0;
  for (index_t r = 0; r < rows; ++r) {
    double product = 0;
    for (index_t c = 0; c < columns; ++c)
      product += static_cast<double>(weight[r * columns + c]) * static_cast<double>(v[c]);
    sigma += static_cast<double>(u[r]) * product;
  }
  return sigma;
}
}  // namespace detail

/// weight (O, ...), read as a matrix W (O, K), divided by the estimate u^T W v of its spectral norm
/// (its largest singular value), for constant u (O) and v (K) of length 1: (O, K). Throws
/// ShapeError.
template <Real T>
Tensor<T> spectral_normalize(const Tensor<T>& weight, const Tensor<T>& u, const Tensor<T>& v) {
  const auto sigma = static_cast<T>(detail::spectral_norm(weight, u, v));
  Tensor<T> out(Shape{weight.extent(0), weight.numel() / weight.extent(0)});  // (O, K)
  T* target = out.data();
  for (index_t i = 0; i < weight.numel(); ++i) target[i] = weight[i] / sigma;
  return out;
}
/// The same, recorded: the gradient goes to weight, also through the norm; u and v are constant.
template <Real T>
Var<T> spectral_normalize(const Var<T>& weight, const Tensor<T>& u, const Tensor<T>& v) {
  return detail::make_result<T>(
      spectral_normalize(weight.value(), u, v),
      [weight, u, v](const Tensor<T>& g) {
        const double sigma = detail::spectral_norm(weight.value(), u, v);
        double product = 0;  // <g, W>
        for (index_t i = 0; i < g.numel(); ++i)
          product += static_cast<double>(g[i]) * static_cast<double>(weight.value()[i]);
        const index_t columns = g.extent(1);
        Tensor<T> dw(weight.shape());  // (O, ...)
        T* target = dw.data();
        for (index_t i = 0; i < g.numel(); ++i)
          target[i] = static_cast<T>(
              (static_cast<double>(g[i]) - product / sigma * static_cast<double>(u[i / columns]) *
                                               static_cast<double>(v[i % columns])) /
              sigma);
        weight.accumulate(std::move(dw));
      },
      weight);
}

}  // namespace rae
