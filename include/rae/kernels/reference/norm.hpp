// Plain-loop twin of kernels/norm.hpp, in double; the backward is the dense Jacobian of one row.
#pragma once

#include <utility>
#include <vector>

#include "rae/core/math.hpp"
#include "rae/kernels/norm.hpp"

namespace rae::reference {

namespace detail {
/// One row's mean (0 for RMSNorm) and 1 / sqrt(mean square + eps).
template <class T>
std::pair<double, double> row_statistics(const T* x, index_t d, const NormInputs<T>& in) {
  double mean = 0, square = 0;
  for (index_t i = 0; i < d && in.kind == NormKind::layer; ++i)
    mean += static_cast<double>(x[i]) / static_cast<double>(d);
  for (index_t i = 0; i < d; ++i)
    square += math::pow(static_cast<double>(x[i]) - mean, 2) / static_cast<double>(d);
  return {mean, 1 / math::sqrt(square + in.eps)};
}
/// Element i of the row that serves row r of `rows`, or `absent`.
template <class T>
double row_value(const Rows<const T>& values, index_t r, index_t rows, index_t i, double absent) {
  return values.empty()
             ? absent
             : static_cast<double>(values.data[r / (rows / values.groups) * values.stride + i]);
}
template <class T>
double vector_value(const View<const T>& v, index_t i, double absent) {
  return v.empty() ? absent : static_cast<double>(v.data()[i]);
}
}  // namespace detail

/// out (R, D) = (normalise(x)*weight + bias) * (1 + scale) + shift.
template <Real T>
void norm(View<const T> x, const NormInputs<T>& in, View<T> out) {
  const index_t rows = x.extent(0), d = x.extent(1);
  for (index_t r = 0; r < rows; ++r) {
    const auto [mean, inverse] = detail::row_statistics(x.data() + r * d, d, in);
    for (index_t i = 0; i < d; ++i) {
      const double n =
          (static_cast<double>(x(r, i)) - mean) * inverse * detail::vector_value(in.weight, i, 1) +
          detail::vector_value(in.bias, i, 0);
      out(r, i) = static_cast<T>(n * (1 + detail::row_value(in.scale, r, rows, i, 0)) +
                                 detail::row_value(in.shift, r, rows, i, 0));
    }
  }
}

/// dx (R, D), overwritten; dweight, dbias (D), dshift, dscale (groups, D), added to where they are
/// not empty.
template <Real T>
void norm_backward(View<const T> x, const NormInputs<T>& in, View<const T> dout,
                   const NormGradients<T>& g) {
  const index_t rows = x.extent(0), d = x.extent(1);
  for (index_t r = 0; r < rows; ++r) {
    const auto [mean, inverse] = detail::row_statistics(x.data() + r * d, d, in);
    const double cube = inverse * inverse * inverse / static_cast<double>(d),
                 centring = in.kind == NormKind::layer ? 1.0 / static_cast<double>(d) : 0.0;
    std::vector<double> centred, upstream;  // x - mean; the gradient of the normalised value
    for (index_t i = 0; i < d; ++i) {
      centred.push_back(static_cast<double>(x(r, i)) - mean);
      const double h = centred.back() * inverse, w = detail::vector_value(in.weight, i, 1);
      const double dy = static_cast<double>(dout(r, i)),
                   dn = dy * (1 + detail::row_value(in.scale, r, rows, i, 0));
      upstream.push_back(dn * w);
      if (!g.dweight.empty()) g.dweight.data()[i] += static_cast<T>(dn * h);
      if (!g.dbias.empty()) g.dbias.data()[i] += static_cast<T>(dn);
      if (g.dshift.empty()) continue;
      const index_t at = r / (rows / g.dshift.groups);
      g.dshift.data[at * g.dshift.stride + i] += static_cast<T>(dy);
      g.dscale.data[at * g.dscale.stride + i] +=
          static_cast<T>(dy * (h * w + detail::vector_value(in.bias, i, 0)));
    }
    for (index_t j = 0; j < d; ++j) {
      double sum = g.add.empty() ? 0.0 : static_cast<double>(g.add(r, j));
      for (index_t i = 0; i < d; ++i) {
        const auto a = static_cast<std::size_t>(i), b = static_cast<std::size_t>(j);
        sum += upstream[a] * (inverse * ((i == j) - centring) - centred[a] * centred[b] * cube);
      }
      g.dx(r, j) = static_cast<T>(sum);
    }
  }
}

}  // namespace rae::reference
