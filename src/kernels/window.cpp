#include "rae/kernels/window.hpp"

#include <algorithm>
#include <limits>

#include "kernels/contiguous.hpp"
#include "kernels/require_window.hpp"
#include "rae/core/parallel.hpp"

namespace rae {
namespace {

/// The pixels of a picture under the window.
struct Region {
  index_t top, bottom, left, right;  // rows [top, bottom), columns [left, right)

  [[nodiscard]] index_t pixels() const { return (bottom - top) * (right - left); }
};

/// The shapes of pooling, from x (B, C, H, W).
struct Pooling {
  index_t planes, rows, columns, out_h, out_w;
  Window window;

  [[nodiscard]] Region region(index_t i, index_t j) const {
    const index_t top = i * window.stride - window.pad_h, left = j * window.stride - window.pad_w;
    return {std::max<index_t>(top, 0), std::min(top + window.height, rows),
            std::max<index_t>(left, 0), std::min(left + window.width, columns)};
  }
  /// Calls f(plane, output, region) for every output; those of a plane on the same thread.
  template <class F>
  void for_outputs(F f) const {
    const index_t work = out_h * out_w * window.height * window.width;
    parallel_for(planes, detail::row_grain(work), [&](index_t plane) {
      for (index_t i = 0; i < out_h; ++i)
        for (index_t j = 0; j < out_w; ++j) f(plane, (plane * out_h + i) * out_w + j, region(i, j));
    });
  }
};

Pooling pooling_of(std::string_view where, const Shape& x, const Window& w, const Shape& out) {
  detail::require_window(where, x, w);
  if (2 * w.pad_h > w.height || 2 * w.pad_w > w.width)
    raise<ShapeError>(where, ": a padding of ", w.pad_h, ", ", w.pad_w,
                      " is more than half of a window ", w.height, " x ", w.width);
  require_shape(where, out, {x[0], x[1], w.out_h(x[2]), w.out_w(x[3])});
  return {x[0] * x[1], x[2], x[3], out[2], out[3], w};
}

/// Offset of the first largest pixel of the region, or of the first NaN.
template <class T>
index_t largest(const T* from, const Region& r, index_t columns) {
  index_t best = r.top * columns + r.left;
  for (index_t i = r.top; i < r.bottom; ++i)
    for (index_t j = r.left; j < r.right; ++j)
      if (from[i * columns + j] > from[best]) best = i * columns + j;
  return best;
}

}  // namespace

template <Real T>
void max_pool2d(View<const T> x, const Window& window, View<T> out) {
  const Pooling p = pooling_of("max_pool2d", x.shape(), window, out.shape());
  detail::require_elements("max_pool2d: x", x.numel(), x);
  detail::require_elements("max_pool2d: out", out.numel(), out);
  const T* source = x.data();
  T* target = out.data();
  p.for_outputs([=](index_t plane, index_t output, const Region& region) {
    const T* from = source + plane * p.rows * p.columns;
    target[output] = from[largest(from, region, p.columns)];
  });
}

template <Real T>
void max_pool2d_backward(View<const T> x, View<const T> dout, const Window& window, View<T> dx) {
  const Pooling p = pooling_of("max_pool2d_backward", x.shape(), window, dout.shape());
  require_shape("max_pool2d_backward: dx", dx.shape(), x.shape());
  detail::require_elements("max_pool2d_backward: x, dx", x.numel(), x, dx);
  detail::require_elements("max_pool2d_backward: dout", dout.numel(), dout);
  const T *source = x.data(), *gradient = dout.data();
  T* target = dx.data();
  std::fill_n(target, dx.numel(), T(0));
  p.for_outputs([=](index_t plane, index_t output, const Region& region) {
    const index_t at = plane * p.rows * p.columns;
    target[at + largest(source + at, region, p.columns)] += gradient[output];
  });
}

template <Real T>
void avg_pool2d(View<const T> x, const Window& window, View<T> out) {
  const Pooling p = pooling_of("avg_pool2d", x.shape(), window, out.shape());
  detail::require_elements("avg_pool2d: x", x.numel(), x);
  detail::require_elements("avg_pool2d: out", out.numel(), out);
  const T* source = x.data();
  T* target = out.data();
  p.for_outputs([=](index_t plane, index_t output, const Region& region) {
    const T* from = source + plane * p.rows * p.columns;
    T sum = 0;
    for (index_t i = region.top; i < region.bottom; ++i)
      for (index_t j = region.left; j < region.right; ++j) sum += from[i * p.columns + j];
    target[output] = sum / static_cast<T>(region.pixels());
  });
}

template <Real T>
void avg_pool2d_backward(View<const T> dout, const Window& window, View<T> dx) {
  const Pooling p = pooling_of("avg_pool2d_backward", dx.shape(), window, dout.shape());
  detail::require_elements("avg_pool2d_backward: dout", dout.numel(), dout);
  detail::require_elements("avg_pool2d_backward: dx", dx.numel(), dx);
  const T* gradient = dout.data();
  T* target = dx.data();
  std::fill_n(target, dx.numel(), T(0));
  p.for_outputs([=](index_t plane, index_t output, const Region& region) {
    T* to = target + plane * p.rows * p.columns;
    const T share = gradient[output] / static_cast<T>(region.pixels());
    for (index_t i = region.top; i < region.bottom; ++i)
      for (index_t j = region.left; j < region.right; ++j) to[i * p.columns + j] += share;
  });
}

template void max_pool2d<float>(View<const float>, const Window&, View<float>);
template void max_pool2d<double>(View<const double>, const Window&, View<double>);
template void max_pool2d_backward<float>(View<const float>, View<const float>, const Window&,
                                         View<float>);
template void max_pool2d_backward<double>(View<const double>, View<const double>, const Window&,
                                          View<double>);
template void avg_pool2d<float>(View<const float>, const Window&, View<float>);
template void avg_pool2d<double>(View<const double>, const Window&, View<double>);
template void avg_pool2d_backward<float>(View<const float>, const Window&, View<float>);
template void avg_pool2d_backward<double>(View<const double>, const Window&, View<double>);

}  // namespace rae
