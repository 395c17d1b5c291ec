#include "rae/kernels/window.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/contiguous.hpp"
#include "kernels/kernel_table.hpp"
#include "rae/core/parallel.hpp"
#include "rae/core/tensor.hpp"

namespace rae {
namespace {

void check_window(std::string_view where, const Shape& x, const Window& w) {
  if (x.rank() != 4 || x.numel() == 0)
    raise<ShapeError>(where, ": expected pictures (B, C, H, W), got ", x);
  if (w.height < 1 || w.width < 1 || w.stride < 1 || w.pad_h < 0 || w.pad_w < 0 ||
      x[2] + 2 * w.pad_h < w.height || x[3] + 2 * w.pad_w < w.width)
    raise<ShapeError>(where, ": a window ", w.height, " x ", w.width, " with stride ", w.stride,
                      " and padding ", w.pad_h, ", ", w.pad_w, " does not fit pictures ", x);
}

/// (B, C, H + 2 pad_h, W + 2 pad_w) with zeros around each picture.
template <class T>
Tensor<T> padded(const View<const T>& x, const Window& w) {
  const index_t rows = x.extent(2), columns = x.extent(3), wide = columns + 2 * w.pad_w,
                plane = (rows + 2 * w.pad_h) * wide;
  Tensor<T> out(Shape{x.extent(0), x.extent(1), rows + 2 * w.pad_h, wide},
                T(0));  // (B, C, padded H, padded W)
  T* target = out.data();
  parallel_for(x.extent(0) * x.extent(1), detail::row_grain(plane), [&](index_t i) {
    for (index_t y = 0; y < rows; ++y)
      std::copy_n(x.data() + (i * rows + y) * columns, columns,
                  target + i * plane + (y + w.pad_h) * wide + w.pad_w);
  });
  return out;
}

/// Output pixels that follow each other in a row, and so do the pixels under a tap when the stride
/// is 1.
struct Run {
  index_t column, length, offset;  // first column of the panel, columns, offset of the window's
                                   // corner in the padded plane
};

/// The runs of the output pixels [first, first + columns).
std::vector<Run> runs_of(index_t first, index_t columns, index_t out_w, index_t padded_w,
                         index_t stride) {
  std::vector<Run> runs;
  for (index_t p = first; p < first + columns;) {
    const index_t y = p / out_w, x = p % out_w, length = std::min(out_w - x, first + columns - p);
    runs.push_back({p - first, length, y * stride * padded_w + x * stride});
    p += length;
  }
  return runs;
}

/// Calls f(plane, y, x, first row, last row + 1, first column, last column + 1) for every position
/// of the window, clipped to the picture.
template <class T, class F>
void pool(std::string_view where, const View<const T>& x, const Window& w, const View<T>& out,
          F f) {
  check_window(where, x.shape(), w);
  if (2 * w.pad_h > w.height || 2 * w.pad_w > w.width)
    raise<ShapeError>(where, ": a padding of ", w.pad_h, ", ", w.pad_w,
                      " is more than half of a window ", w.height, " x ", w.width);
  const index_t rows = x.extent(2), columns = x.extent(3), h = w.out_h(rows), v = w.out_w(columns);
  require_shape(where, out.shape(), {x.extent(0), x.extent(1), h, v});
  detail::require_elements(concat(where, ": x"), x.numel(), x);
  detail::require_elements(concat(where, ": out"), out.numel(), out);
  parallel_for(
      x.extent(0) * x.extent(1), detail::row_grain(h * v * w.height * w.width), [&](index_t plane) {
        const T* from = x.data() + plane * rows * columns;
        T* to = out.data() + plane * h * v;
        for (index_t i = 0; i < h; ++i)
          for (index_t j = 0; j < v; ++j) {
            const index_t top = i * w.stride - w.pad_h, left = j * w.stride - w.pad_w;
            *to++ = f(from, std::max<index_t>(top, 0), std::min(top + w.height, rows),
                      std::max<index_t>(left, 0), std::min(left + w.width, columns), columns);
          }
      });
}

}  // namespace

template <Real T>
void conv2d(View<const T> x, View<const T> weight, View<const T> bias, const Window& w,
            View<T> out) {
  check_window("conv2d", x.shape(), w);
  const index_t batch = x.extent(0), in = x.extent(1), h = w.out_h(x.extent(2)),
                v = w.out_w(x.extent(3));
  if (weight.shape().rank() != 4 ||
      !(weight.shape() == Shape{weight.extent(0), in, w.height, w.width}))
    raise<ShapeError>("conv2d: expected a weight (O, ", in, ", ", w.height, ", ", w.width,
                      "), got ", weight.shape());
  const index_t channels = weight.extent(0), pixels = h * v;
  require_shape("conv2d", out.shape(), {batch, channels, h, v});
  detail::require_elements("conv2d: x", x.numel(), x);
  detail::require_elements("conv2d: weight", weight.numel(), weight);
  detail::require_elements("conv2d: out", out.numel(), out);
  if (!bias.empty()) detail::require_elements("conv2d: bias", channels, bias);

  const auto& table = detail::kernel_table<T>();
  const bool bordered = w.pad_h > 0 || w.pad_w > 0;
  const Tensor<T> storage = bordered ? padded(x, w) : Tensor<T>();  // (B, C, padded H, padded W)
  const T* source = bordered ? storage.data() : x.data();
  const index_t padded_w = x.extent(3) + 2 * w.pad_w,
                plane = (x.extent(2) + 2 * w.pad_h) * padded_w;
  const index_t depth = in * w.height * w.width, width = table.panel_width,
                panels = (pixels + width - 1) / width;
  // Panels of output pixels: the pixels under the taps are gathered, then multiplied with all
  // channels at once.
  parallel_ranges(batch * panels, 1, [&](index_t begin, index_t end) {
    Tensor<T> panel_storage(Shape{depth, width}, T(0));  // (C*kh*kw, width)
    T* panel = panel_storage.data();
    for (index_t task = begin; task < end; ++task) {
      const index_t b = task / panels, first = task % panels * width,
                    columns = std::min(width, pixels - first);
      const std::vector<Run> runs = runs_of(first, columns, v, padded_w, w.stride);
      T* row = panel;
      for (index_t c = 0; c < in; ++c)
        for (index_t i = 0; i < w.height; ++i)
          for (index_t j = 0; j < w.width; ++j, row += width) {
            const T* tap = source + (b * in + c) * plane + i * padded_w + j;
            for (const Run& run : runs) {
              if (w.stride == 1)
                std::copy_n(tap + run.offset, run.length, row + run.column);
              else
                for (index_t p = 0; p < run.length; ++p)
                  row[run.column + p] = tap[run.offset + p * w.stride];
            }
          }
      T* target = out.data() + b * channels * pixels + first;
      table.gemm_panel({.rows = channels,
                        .k = depth,
                        .a = weight.data(),
                        .row_stride = depth,
                        .column_stride = 1,
                        .panel = panel,
                        .columns = columns,
                        .out = target,
                        .out_stride = pixels,
                        .bias = nullptr,
                        .activation = Activation::none,
                        .accumulate = false});
      if (bias.empty()) continue;
      for (index_t o = 0; o < channels; ++o)
        for (index_t p = 0; p < columns; ++p) target[o * pixels + p] += bias.data()[o];
    }
  });
}

template <Real T>
void max_pool2d(View<const T> x, const Window& window, View<T> out) {
  pool(
      "max_pool2d", x, window, out,
      [](const T* from, index_t top, index_t bottom, index_t left, index_t right, index_t columns) {
        T best = -std::numeric_limits<T>::infinity();
        for (index_t i = top; i < bottom; ++i)
          for (index_t j = left; j < right; ++j) best = std::max(best, from[i * columns + j]);
        return best;
      });
}

template <Real T>
void avg_pool2d(View<const T> x, const Window& window, View<T> out) {
  pool(
      "avg_pool2d", x, window, out,
      [](const T* from, index_t top, index_t bottom, index_t left, index_t right, index_t columns) {
        T sum = 0;
        for (index_t i = top; i < bottom; ++i)
          for (index_t j = left; j < right; ++j) sum += from[i * columns + j];
        return sum / static_cast<T>((bottom - top) * (right - left));
      });
}

template void conv2d<float>(View<const float>, View<const float>, View<const float>, const Window&,
                            View<float>);
template void conv2d<double>(View<const double>, View<const double>, View<const double>,
                             const Window&, View<double>);
template void max_pool2d<float>(View<const float>, const Window&, View<float>);
template void max_pool2d<double>(View<const double>, const Window&, View<double>);
template void avg_pool2d<float>(View<const float>, const Window&, View<float>);
template void avg_pool2d<double>(View<const double>, const Window&, View<double>);

}  // namespace rae
