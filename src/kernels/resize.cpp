#include "rae/kernels/resize.hpp"

#include <cmath>
#include <vector>

#include "kernels/contiguous.hpp"
#include "rae/core/parallel.hpp"
#include "rae/core/tensor.hpp"

namespace rae {
namespace {

/// A banded matrix (out, in): row i has the weights of the consecutive inputs [first[i], first[i] + count[i]).
struct Taps {
  Taps(index_t rows, index_t columns, index_t widest)
      : out(rows), in(columns), most(widest), first(index(rows)), count(index(rows)), weight(index(rows) * index(widest)) {}

  static std::size_t index(index_t i) { return static_cast<std::size_t>(i); }
  double& at(index_t i, index_t k) { return weight[index(i * most + k)]; }

  index_t out, in, most;
  std::vector<index_t> first, count;
  std::vector<double> weight;  // (out, most)
};

double cubic(double x, double a) {
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0.0;
}

// Taps whose index lies outside [0, in) count for the border element.
Taps interpolation_taps(index_t in, index_t out, Resize method) {
  const index_t taps = method == Resize::bilinear ? 2 : 4, before = taps / 2 - 1;
  Taps table(out, in, taps);
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  for (index_t i = 0; i < out; ++i) {
    const double source = (static_cast<double>(i) + 0.5) * scale - 0.5;
    const auto left = static_cast<index_t>(std::floor(source));
    const double fraction = source - static_cast<double>(left);
    const auto clamped = [&](index_t tap) { return std::clamp<index_t>(left - before + tap, 0, in - 1); };
    const index_t first = table.first[Taps::index(i)] = clamped(0);
    table.count[Taps::index(i)] = clamped(taps - 1) - first + 1;
    for (index_t tap = 0; tap < taps; ++tap) {
      const double distance = std::abs(static_cast<double>(tap - before) - fraction);
      table.at(i, clamped(tap) - first) += method == Resize::bilinear ? 1 - distance : cubic(distance, -0.75);
    }
  }
  return table;
}

Taps antialias_taps(index_t in, index_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out), widening = std::max(1.0, scale), support = 2 * widening;
  Taps table(out, in, std::min(in, static_cast<index_t>(std::ceil(support)) * 2 + 1));
  for (index_t i = 0; i < out; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const index_t first = table.first[Taps::index(i)] = std::max<index_t>(0, static_cast<index_t>(center - support + 0.5));
    const index_t count = table.count[Taps::index(i)] = std::min(in, static_cast<index_t>(center + support + 0.5)) - first;
    double total = 0;
    for (index_t k = 0; k < count; ++k) total += table.at(i, k) = cubic((static_cast<double>(first + k) - center + 0.5) / widening, -0.5);
    for (index_t k = 0; k < count; ++k) table.at(i, k) /= total;
  }
  return table;
}

Taps make_taps(index_t in, index_t out, Resize method) {
  return method == Resize::bicubic_antialias ? antialias_taps(in, out) : interpolation_taps(in, out, method);
}

// Windows move monotonically with the output, so the outputs that touch one input are consecutive too.
Taps transposed(const Taps& taps) {
  std::vector<index_t> first(Taps::index(taps.in), taps.out), count(Taps::index(taps.in), 0);
  for (index_t i = 0; i < taps.out; ++i)
    for (index_t k = 0; k < taps.count[Taps::index(i)]; ++k) {
      const std::size_t j = Taps::index(taps.first[Taps::index(i)] + k);
      first[j] = std::min(first[j], i);
      count[j] = i - first[j] + 1;
    }
  Taps table(taps.in, taps.out, std::max<index_t>(1, *std::max_element(count.begin(), count.end())));
  table.first = std::move(first);
  table.count = std::move(count);
  for (index_t i = 0; i < taps.out; ++i)
    for (index_t k = 0; k < taps.count[Taps::index(i)]; ++k) {
      const index_t j = taps.first[Taps::index(i)] + k;
      table.at(j, i - table.first[Taps::index(j)]) = taps.weight[Taps::index(i * taps.most + k)];
    }
  return table;
}

// to (planes, y.out, x.out) from `from` (planes, y.in, x.in).
template <class T>
void apply(const Taps& y, const Taps& x, index_t planes, const T* from, T* to) {
  const std::vector<T> wx(x.weight.begin(), x.weight.end()), wy(y.weight.begin(), y.weight.end());
  Tensor<T> narrow(Shape{planes, y.in, x.out});  // (B*C, H, w)
  T* middle = narrow.data();
  parallel_for(planes * y.in, detail::row_grain(x.out * x.most), [&](index_t row) {
    const T* source = from + row * x.in;
    T* target = middle + row * x.out;
    for (index_t i = 0; i < x.out; ++i) {
      const T *window = source + x.first[Taps::index(i)], *weight = wx.data() + i * x.most;
      T sum = 0;
      for (index_t k = 0; k < x.count[Taps::index(i)]; ++k) sum += weight[k] * window[k];
      target[i] = sum;
    }
  });
  parallel_for(planes * y.out, detail::row_grain(x.out * y.most), [&](index_t row) {
    const index_t plane = row / y.out, i = row % y.out;
    const T *source = middle + (plane * y.in + y.first[Taps::index(i)]) * x.out, *weight = wy.data() + i * y.most;
    T* target = to + row * x.out;
    std::fill_n(target, x.out, T(0));
    for (index_t k = 0; k < y.count[Taps::index(i)]; ++k)
      for (index_t c = 0; c < x.out; ++c) target[c] += weight[k] * source[k * x.out + c];
  });
}

template <class T>
void check(std::string_view where, const View<const T>& from, const View<T>& to) {
  const Shape &a = from.shape(), &b = to.shape();
  if (a.rank() != 4 || b.rank() != 4 || a[0] != b[0] || a[1] != b[1])
    raise<ShapeError>(where, ": expected (B, C, H, W) and (B, C, h, w), got ", a, " and ", b);
  if (a.numel() == 0 || b.numel() == 0) raise<ShapeError>(where, ": cannot resize ", a, " to ", b, "; every extent must be positive");
  detail::require_elements(where, a.numel(), from);
  detail::require_elements(where, b.numel(), to);
}

}  // namespace

template <Real T>
void resize(View<const T> image, Resize method, View<T> out) {
  check("resize", image, out);
  apply(make_taps(image.extent(2), out.extent(2), method), make_taps(image.extent(3), out.extent(3), method),
        image.extent(0) * image.extent(1), image.data(), out.data());
}

template <Real T>
void resize_backward(View<const T> dout, Resize method, View<T> dimage) {
  check("resize_backward", dout, dimage);
  apply(transposed(make_taps(dimage.extent(2), dout.extent(2), method)), transposed(make_taps(dimage.extent(3), dout.extent(3), method)),
        dout.extent(0) * dout.extent(1), dout.data(), dimage.data());
}

template void resize<float>(View<const float>, Resize, View<float>);
template void resize<double>(View<const double>, Resize, View<double>);
template void resize_backward<float>(View<const float>, Resize, View<float>);
template void resize_backward<double>(View<const double>, Resize, View<double>);

}  // namespace rae
