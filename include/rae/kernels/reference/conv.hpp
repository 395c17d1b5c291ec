// Plain-loop twin of kernels/conv.hpp.
#pragma once

#include "rae/kernels/conv.hpp"

namespace rae::reference {

namespace detail {
/// Calls f(b, o, c, y, v, i, j, r, s) for every product: picture b, channels o and c, output pixel
/// (y, v), tap (i, j), pixel (r, s) of the picture.
template <class F>
void for_each_product(const Shape& x, const Shape& out, const Window& w, F f) {
  for (index_t b = 0; b < x[0]; ++b)
    for (index_t o = 0; o < out[1]; ++o)
      for (index_t c = 0; c < x[1]; ++c)
        for (index_t y = 0; y < out[2]; ++y)
          for (index_t v = 0; v < out[3]; ++v)
            for (index_t i = 0; i < w.height; ++i)
              for (index_t j = 0; j < w.width; ++j) {
                const index_t r = y * w.stride + i - w.pad_h, s = v * w.stride + j - w.pad_w;
                if (r >= 0 && r < x[2] && s >= 0 && s < x[3]) f(b, o, c, y, v, i, j, r, s);
              }
}
}  // namespace detail

/// out (B, O, h, w) from x (B, C, H, W), weight (O, C, kh, kw), bias (O) or empty.
template <Real T>
void conv2d(View<const T> x, View<const T> weight, View<const T> bias, const Window& w,
            View<T> out) {
  for (index_t b = 0; b < out.extent(0); ++b)
    for (index_t o = 0; o < out.extent(1); ++o)
      for (index_t y = 0; y < out.extent(2); ++y)
        for (index_t v = 0; v < out.extent(3); ++v) out(b, o, y, v) = bias.empty() ? T(0) : bias(o);
  detail::for_each_product(x.shape(), out.shape(), w,
                           [&](auto b, auto o, auto c, auto y, auto v, auto i, auto j, auto r,
                               auto s) { out(b, o, y, v) += x(b, c, r, s) * weight(o, c, i, j); });
}

/// dx (B, C, H, W) +=, dweight (O, C, kh, kw) +=, dbias (O) += from dout (B, O, h, w).
template <Real T>
void conv2d_backward(View<const T> x, View<const T> weight, const Window& w, View<const T> dout,
                     View<T> dx, View<T> dweight, View<T> dbias) {
  detail::for_each_product(
      x.shape(), dout.shape(), w,
      [&](auto b, auto o, auto c, auto y, auto v, auto i, auto j, auto r, auto s) {
        dx(b, c, r, s) += dout(b, o, y, v) * weight(o, c, i, j);
        dweight(o, c, i, j) += dout(b, o, y, v) * x(b, c, r, s);
      });
  for (index_t b = 0; b < dout.extent(0); ++b)
    for (index_t o = 0; o < dout.extent(1); ++o)
      for (index_t y = 0; y < dout.extent(2); ++y)
        for (index_t v = 0; v < dout.extent(3); ++v) dbias(o) += dout(b, o, y, v);
}

}  // namespace rae::reference
