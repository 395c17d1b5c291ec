#include "rae/kernels/conv.hpp"

#include <algorithm>
#include <vector>

#include "kernels/contiguous.hpp"
#include "kernels/kernel_table.hpp"
#include "rae/core/parallel.hpp"
#include "rae/core/tensor.hpp"

namespace rae {
namespace {

// Pictures whose weight gradients are summed before they are added to those of the others: fixed,
// so that the sum does not depend on threads.
constexpr index_t kPicturesPerSum = 8;

/// A convolution with its picture inside a border of zeros. Rows of the padded picture follow each
/// other without a gap, so the pixels under tap (i, j) of all output pixels are one run of memory
/// that begins i * width + j elements after the first of the picture. Output rows are computed as
/// wide as padded rows; the last k - 1 columns of each are meaningless and are dropped.
struct Layout {
  index_t pictures, in, out, height, width, k;

  [[nodiscard]] index_t padded_width() const { return width + k - 1; }
  [[nodiscard]] index_t plane() const {
    return (height + k - 1) * padded_width();
  }  // of one padded channel
  [[nodiscard]] index_t run() const {
    return height * padded_width();
  }  // output pixels, with those that are dropped
  [[nodiscard]] index_t padded_size(index_t channels) const { return channels * plane() + k - 1; }
  [[nodiscard]] index_t tap(index_t i) const { return i / k * padded_width() + i % k; }
};

Layout layout_of(std::string_view where, const Shape& x, const Shape& weight, const Shape& out) {
  if (x.rank() != 4 || x.numel() == 0)
    raise<ShapeError>(where, ": expected pictures (B, C, H, W), got ", x);
  if (weight.rank() != 4 || weight[1] != x[1] || weight[2] != weight[3] || weight[2] % 2 != 1)
    raise<ShapeError>(where, ": expected a weight (O, ", x[1], ", k, k) with odd k, got ", weight);
  require_shape(where, out, {x[0], weight[0], x[2], x[3]});
  return {x[0], x[1], weight[0], x[2], x[3], weight[2]};
}

/// Copies the channels of one picture (C, H, W) between the zeros of `padded`.
template <class T>
void pad(const Layout& l, index_t channels, const T* picture, T* padded) {
  const index_t border = (l.k - 1) / 2;
  std::fill_n(padded, l.padded_size(channels), T(0));
  for (index_t c = 0; c < channels; ++c)
    for (index_t y = 0; y < l.height; ++y)
      std::copy_n(picture + (c * l.height + y) * l.width, l.width,
                  padded + c * l.plane() + (y + border) * l.padded_width() + border);
}

/// out (O, H, W) of every picture = weight (O, k*k*C) times the taps' runs, a panel of output
/// pixels at a time.
template <class T>
void convolve(const Layout& l, const T* x, const T* weight, const T* bias, T* out) {
  const auto& table = detail::kernel_table<T>();
  const index_t taps = l.k * l.k, depth = taps * l.in, width = table.panel_width;
  parallel_ranges(l.pictures, 1, [&](index_t begin, index_t end) {
    Tensor<T> padded_storage(Shape{l.padded_size(l.in)});  // (C, padded H, padded W)
    Tensor<T> panel_storage(Shape{depth, width});          // (k*k*C, width)
    Tensor<T> wide_storage(Shape{l.out, l.run()});         // (O, H * padded W)
    T *padded = padded_storage.data(), *panel = panel_storage.data(), *wide = wide_storage.data();
    for (index_t b = begin; b < end; ++b) {
      pad(l, l.in, x + b * l.in * l.height * l.width, padded);
      for (index_t first = 0; first < l.run(); first += width) {
        const index_t columns = std::min(width, l.run() - first);
        for (index_t i = 0; i < taps; ++i)
          table.pack_panel(padded + l.tap(i) + first, l.plane(), 1, l.in, columns,
                           panel + i * l.in * width);
        table.gemm_panel({.rows = l.out,
                          .k = depth,
                          .a = weight,
                          .row_stride = depth,
                          .column_stride = 1,
                          .panel = panel,
                          .columns = columns,
                          .out = wide + first,
                          .out_stride = l.run(),
                          .bias = nullptr,
                          .activation = Activation::none,
                          .accumulate = false});
      }
      for (index_t o = 0; o < l.out; ++o) {
        const T shift = bias ? bias[o] : T(0);
        for (index_t y = 0; y < l.height; ++y) {
          const T* from = wide + o * l.run() + y * l.padded_width();
          T* to = out + ((b * l.out + o) * l.height + y) * l.width;
          for (index_t i = 0; i < l.width; ++i) to[i] = from[i] + shift;
        }
      }
    }
  });
}

/// Adds the gradients of one picture: sums (taps, C, O) and bias_sums (O).
template <class T>
void add_weight_gradient(const Layout& l, const T* x, const T* dout, T* padded, T* panel, T* sums,
                         T* bias_sums) {
  const auto& table = detail::kernel_table<T>();
  const index_t width = table.panel_width;
  pad(l, l.in, x, padded);
  for (index_t first = 0; first < l.out; first += width) {
    // dout, transposed, with zeros for the meaningless pixels: (run, width).
    const index_t columns = std::min(width, l.out - first);
    std::fill_n(panel, l.run() * width, T(0));
    for (index_t o = 0; o < columns; ++o) {
      const T* channel = dout + (first + o) * l.height * l.width;
      double total = 0;
      for (index_t y = 0; y < l.height; ++y)
        for (index_t i = 0; i < l.width; ++i) {
          panel[(y * l.padded_width() + i) * width + o] = channel[y * l.width + i];
          total += static_cast<double>(channel[y * l.width + i]);
        }
      bias_sums[first + o] += static_cast<T>(total);
    }
    for (index_t i = 0; i < l.k * l.k; ++i)
      table.gemm_panel({.rows = l.in,
                        .k = l.run(),
                        .a = padded + l.tap(i),
                        .row_stride = l.plane(),
                        .column_stride = 1,
                        .panel = panel,
                        .columns = columns,
                        .out = sums + i * l.in * l.out + first,
                        .out_stride = l.out,
                        .bias = nullptr,
                        .activation = Activation::none,
                        .accumulate = true});
  }
}

void check_pool(std::string_view where, const Shape& x, const Shape& out) {
  if (x.rank() != 4 || x[2] < 2 || x[3] < 2)
    raise<ShapeError>(where, ": expected pictures (B, C, H, W) of at least 2 x 2, got ", x);
  require_shape(where, out, {x[0], x[1], x[2] / 2, x[3] / 2});
}

/// Offset of the first largest of the 2 x 2 elements at `block`.
template <class T>
index_t largest(const T* block, index_t row) {
  index_t best = 0;
  for (const index_t i : {index_t{1}, row, row + 1})
    if (block[i] > block[best]) best = i;
  return best;
}

}  // namespace

template <Real T>
void conv2d(View<const T> x, View<const T> weight, View<const T> bias, View<T> out) {
  const Layout layout = layout_of("conv2d", x.shape(), weight.shape(), out.shape());
  detail::require_elements("conv2d: x", x.numel(), x);
  detail::require_elements("conv2d: weight", weight.numel(), weight);
  detail::require_elements("conv2d: out", out.numel(), out);
  if (!bias.empty()) detail::require_elements("conv2d: bias", layout.out, bias);
  const index_t taps = layout.k * layout.k;
  Tensor<T> arranged(Shape{layout.out, taps, layout.in});  // (O, k*k, C)
  T* target = arranged.data();
  for (index_t o = 0; o < layout.out; ++o)
    for (index_t i = 0; i < taps; ++i)
      for (index_t c = 0; c < layout.in; ++c)
        *target++ = weight.data()[(o * layout.in + c) * taps + i];
  convolve(layout, x.data(), std::as_const(arranged).data(), bias.data(), out.data());
}

template <Real T>
void conv2d_backward_input(View<const T> dout, View<const T> weight, View<T> dx) {
  const Layout l = layout_of("conv2d_backward_input", dx.shape(), weight.shape(), dout.shape());
  detail::require_elements("conv2d_backward_input: weight", weight.numel(), weight);
  detail::require_elements("conv2d_backward_input: dout", dout.numel(), dout);
  detail::require_elements("conv2d_backward_input: dx", dx.numel(), dx);
  // The transposed convolution of an odd kernel is the convolution with that kernel rotated by half
  // a turn.
  const index_t taps = l.k * l.k;
  Tensor<T> rotated(Shape{l.in, taps, l.out});  // (C, k*k, O)
  T* target = rotated.data();
  for (index_t c = 0; c < l.in; ++c)
    for (index_t i = taps - 1; i >= 0; --i)
      for (index_t o = 0; o < l.out; ++o) *target++ = weight.data()[(o * l.in + c) * taps + i];
  convolve<T>({l.pictures, l.out, l.in, l.height, l.width, l.k}, dout.data(),
              std::as_const(rotated).data(), nullptr, dx.data());
}

template <Real T>
void conv2d_backward_weight(View<const T> x, View<const T> dout, View<T> dweight, View<T> dbias) {
  const Layout l = layout_of("conv2d_backward_weight", x.shape(), dweight.shape(), dout.shape());
  detail::require_elements("conv2d_backward_weight: x", x.numel(), x);
  detail::require_elements("conv2d_backward_weight: dout", dout.numel(), dout);
  detail::require_elements("conv2d_backward_weight: dweight", dweight.numel(), dweight);
  if (!dbias.empty()) detail::require_elements("conv2d_backward_weight: dbias", l.out, dbias);
  const index_t taps = l.k * l.k, weights = taps * l.in * l.out,
                groups = (l.pictures + kPicturesPerSum - 1) / kPicturesPerSum;
  Tensor<T> sums_storage(Shape{groups, weights}, T(0));  // (groups, k*k, C, O)
  Tensor<T> bias_storage(Shape{groups, l.out}, T(0));    // (groups, O)
  T *sums = sums_storage.data(), *bias_sums = bias_storage.data();
  parallel_ranges(groups, 1, [&](index_t begin, index_t end) {
    Tensor<T> padded(Shape{l.padded_size(l.in)});  // (C, padded H, padded W)
    Tensor<T> panel(Shape{l.run(), detail::kernel_table<T>().panel_width});  // (run, width)
    for (index_t group = begin; group < end; ++group)
      for (index_t b = group * kPicturesPerSum;
           b < std::min(l.pictures, (group + 1) * kPicturesPerSum); ++b)
        add_weight_gradient(l, x.data() + b * l.in * l.height * l.width,
                            dout.data() + b * l.out * l.height * l.width, padded.data(),
                            panel.data(), sums + group * weights, bias_sums + group * l.out);
  });
  for (index_t group = 1; group < groups; ++group)
    for (index_t i = 0; i < weights; ++i) sums[i] += sums[group * weights + i];
  for (index_t o = 0; o < l.out; ++o)
    for (index_t c = 0; c < l.in; ++c)
      for (index_t i = 0; i < taps; ++i)
        dweight.data()[(o * l.in + c) * taps + i] += sums[(i * l.in + c) * l.out + o];
  if (dbias.empty()) return;
  for (index_t group = 0; group < groups; ++group)
    for (index_t o = 0; o < l.out; ++o) dbias.data()[o] += bias_sums[group * l.out + o];
}

template <Real T>
void max_pool2d(View<const T> x, View<T> out) {
  check_pool("max_pool2d", x.shape(), out.shape());
  detail::require_elements("max_pool2d: x", x.numel(), x);
  detail::require_elements("max_pool2d: out", out.numel(), out);
  const index_t height = x.extent(2), width = x.extent(3), h = out.extent(2), w = out.extent(3);
  parallel_for(x.extent(0) * x.extent(1), detail::row_grain(height * width), [&](index_t plane) {
    for (index_t y = 0; y < h; ++y) {
      const T* row = x.data() + (plane * height + 2 * y) * width;
      T* target = out.data() + (plane * h + y) * w;
      for (index_t i = 0; i < w; ++i)
        target[i] = std::max(std::max(row[2 * i], row[2 * i + 1]),
                             std::max(row[width + 2 * i], row[width + 2 * i + 1]));
    }
  });
}

template <Real T>
void max_pool2d_backward(View<const T> x, View<const T> dout, View<T> dx) {
  check_pool("max_pool2d_backward", x.shape(), dout.shape());
  require_shape("max_pool2d_backward: dx", dx.shape(), x.shape());
  detail::require_elements("max_pool2d_backward: x, dx", x.numel(), x, dx);
  detail::require_elements("max_pool2d_backward: dout", dout.numel(), dout);
  const index_t height = x.extent(2), width = x.extent(3), h = dout.extent(2), w = dout.extent(3);
  parallel_for(x.extent(0) * x.extent(1), detail::row_grain(height * width), [&](index_t plane) {
    T* gradient = dx.data() + plane * height * width;
    std::fill_n(gradient, height * width, T(0));
    for (index_t y = 0; y < h; ++y)
      for (index_t i = 0; i < w; ++i) {
        const index_t corner = 2 * y * width + 2 * i;
        gradient[corner + largest(x.data() + plane * height * width + corner, width)] =
            dout.data()[(plane * h + y) * w + i];
      }
  });
}

template void conv2d<float>(View<const float>, View<const float>, View<const float>, View<float>);
template void conv2d<double>(View<const double>, View<const double>, View<const double>,
                             View<double>);
template void conv2d_backward_input<float>(View<const float>, View<const float>, View<float>);
template void conv2d_backward_input<double>(View<const double>, View<const double>, View<double>);
template void conv2d_backward_weight<float>(View<const float>, View<const float>, View<float>,
                                            View<float>);
template void conv2d_backward_weight<double>(View<const double>, View<const double>, View<double>,
                                             View<double>);
template void max_pool2d<float>(View<const float>, View<float>);
template void max_pool2d<double>(View<const double>, View<double>);
template void max_pool2d_backward<float>(View<const float>, View<const float>, View<float>);
template void max_pool2d_backward<double>(View<const double>, View<const double>, View<double>);

}  // namespace rae
