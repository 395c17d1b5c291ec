// Plain-loop twin of kernels/conv.hpp.
#pragma once

#include "rae/kernels/conv.hpp"

namespace rae::reference {

namespace detail {
/// Calls f(b, o, c, y, x, i, j) for every product: picture b, channels o and c, output pixel (y,
/// x), tap (i, j) inside the picture.
template <class F>
void for_each_product(const Shape& x, const Shape& weight, F f) {
  const index_t k = weight[2], pad = (k - 1) / 2;
  for (index_t b = 0; b < x[0]; ++b)
    for (index_t o = 0; o < weight[0]; ++o)
      for (index_t c = 0; c < weight[1]; ++c)
        for (index_t row = 0; row < x[2]; ++row)
          for (index_t column = 0; column < x[3]; ++column)
            for (index_t i = 0; i < k; ++i)
              for (index_t j = 0; j < k; ++j) {
                const index_t from_row = row + i - pad, from_column = column + j - pad;
                if (from_row >= 0 && from_row < x[2] && from_column >= 0 && from_column < x[3])
                  f(b, o, c, row, column, i, j, from_row, from_column);
              }
}
}  // namespace detail

/// out (B, O, H, W) from x (B, C, H, W), weight (O, C, k, k), bias (O) or empty.
template <Real T>
void conv2d(View<const T> x, View<const T> weight, View<const T> bias, View<T> out) {
  for (index_t b = 0; b < out.extent(0); ++b)
    for (index_t o = 0; o < out.extent(1); ++o)
      for (index_t row = 0; row < out.extent(2); ++row)
        for (index_t column = 0; column < out.extent(3); ++column)
          out(b, o, row, column) = bias.empty() ? T(0) : bias(o);
  detail::for_each_product(
      x.shape(), weight.shape(),
      [&](auto b, auto o, auto c, auto row, auto column, auto i, auto j, auto r, auto s) {
        out(b, o, row, column) += x(b, c, r, s) * weight(o, c, i, j);
      });
}

/// dx (B, C, H, W) +=, dweight (O, C, k, k) +=, dbias (O) += from dout (B, O, H, W).
template <Real T>
void conv2d_backward(View<const T> x, View<const T> weight, View<const T> dout, View<T> dx,
                     View<T> dweight, View<T> dbias) {
  detail::for_each_product(
      x.shape(), weight.shape(),
      [&](auto b, auto o, auto c, auto row, auto column, auto i, auto j, auto r, auto s) {
        dx(b, c, r, s) += dout(b, o, row, column) * weight(o, c, i, j);
        dweight(o, c, i, j) += dout(b, o, row, column) * x(b, c, r, s);
      });
  for (index_t b = 0; b < dout.extent(0); ++b)
    for (index_t o = 0; o < dout.extent(1); ++o)
      for (index_t row = 0; row < dout.extent(2); ++row)
        for (index_t column = 0; column < dout.extent(3); ++column)
          dbias(o) += dout(b, o, row, column);
}

/// out (B, C, H/2, W/2) from x (B, C, H, W); dx (B, C, H, W), zero before, takes dout when both are
/// given.
template <Real T>
void max_pool2d(View<const T> x, View<T> out, View<const T> dout = {}, View<T> dx = {}) {
  for (index_t b = 0; b < out.extent(0); ++b)
    for (index_t c = 0; c < out.extent(1); ++c)
      for (index_t row = 0; row < out.extent(2); ++row)
        for (index_t column = 0; column < out.extent(3); ++column) {
          index_t r = 2 * row, s = 2 * column;
          for (index_t i = 0; i < 4; ++i)
            if (x(b, c, 2 * row + i / 2, 2 * column + i % 2) > x(b, c, r, s)) {
              r = 2 * row + i / 2;
              s = 2 * column + i % 2;
            }
          out(b, c, row, column) = x(b, c, r, s);
          if (!dx.empty()) dx(b, c, r, s) += dout(b, c, row, column);
        }
}

}  // namespace rae::reference
