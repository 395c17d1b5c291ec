#include "rae/kernels/resize.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/kernel_profile.hpp"
#include "kernels/contiguous.hpp"
#include "kernels/panel_loop.hpp"
#include "rae/core/parallel.hpp"
#include "rae/core/tensor.hpp"

namespace rae {
namespace {

using detail::ceil_div;
using detail::PanelProduct;

/// A banded matrix (out, in): row i has the weights of the consecutive inputs [first[i], first[i] +
/// count[i]).
struct Taps {
  Taps(index_t rows, index_t columns, index_t widest)
      : out(rows),
        in(columns),
        most(widest),
        first(index(rows)),
        count(index(rows)),
        weight(index(rows) * index(widest)) {}

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

// Taps with an index outside [0, in) count for the border element.
Taps interpolation_taps(index_t in, index_t out, Resize method) {
  const index_t taps = method == Resize::bilinear ? 2 : 4, before = taps / 2 - 1;
  Taps table(out, in, taps);
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  for (index_t i = 0; i < out; ++i) {
    const double source = (static_cast<double>(i) + 0.5) * scale - 0.5;
    const auto left = static_cast<index_t>(std::floor(source));
    const double fraction = source - static_cast<double>(left);
    const auto clamped = [&](index_t tap) {
      return std::clamp<index_t>(left - before + tap, 0, in - 1);
    };
    const index_t first = table.first[Taps::index(i)] = clamped(0);
    table.count[Taps::index(i)] = clamped(taps - 1) - first + 1;
    for (index_t tap = 0; tap < taps; ++tap) {
      const double distance = std::abs(static_cast<double>(tap - before) - fraction);
      table.at(i, clamped(tap) - first) +=
          method == Resize::bilinear ? 1 - distance : cubic(distance, -0.75);
    }
  }
  return table;
}

Taps nearest_taps(index_t in, index_t out) {
  Taps table(out, in, 1);
  for (index_t i = 0; i < out; ++i) {
    table.first[Taps::index(i)] = i * in / out;
    table.count[Taps::index(i)] = 1;
    table.at(i, 0) = 1;
  }
  return table;
}

Taps antialias_taps(index_t in, index_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out),
               widening = std::max(1.0, scale), support = 2 * widening;
  Taps table(out, in, std::min(in, static_cast<index_t>(std::ceil(support)) * 2 + 1));
  for (index_t i = 0; i < out; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const index_t first = table.first[Taps::index(i)] =
        std::max<index_t>(0, static_cast<index_t>(center - support + 0.5));
    const index_t count = table.count[Taps::index(i)] =
        std::min(in, static_cast<index_t>(center + support + 0.5)) - first;
    double total = 0;
    for (index_t k = 0; k < count; ++k)
      total += table.at(i, k) =
          cubic((static_cast<double>(first + k) - center + 0.5) / widening, -0.5);
    for (index_t k = 0; k < count; ++k) table.at(i, k) /= total;
  }
  return table;
}

Taps make_taps(index_t in, index_t out, Resize method) {
  if (method == Resize::nearest) return nearest_taps(in, out);
  return method == Resize::bicubic_antialias ? antialias_taps(in, out)
                                             : interpolation_taps(in, out, method);
}

// Windows move monotonically with the output, so the outputs that touch one input are consecutive
// too.
Taps transposed(const Taps& taps) {
  std::vector<index_t> first(Taps::index(taps.in), taps.out), count(Taps::index(taps.in), 0);
  for (index_t i = 0; i < taps.out; ++i)
    for (index_t k = 0; k < taps.count[Taps::index(i)]; ++k) {
      const std::size_t j = Taps::index(taps.first[Taps::index(i)] + k);
      first[j] = std::min(first[j], i);
      count[j] = i - first[j] + 1;
    }
  Taps table(taps.in, taps.out,
             std::max<index_t>(1, *std::max_element(count.begin(), count.end())));
  table.first = std::move(first);
  table.count = std::move(count);
  for (index_t i = 0; i < taps.out; ++i)
    for (index_t k = 0; k < taps.count[Taps::index(i)]; ++k) {
      const index_t j = taps.first[Taps::index(i)] + k;
      table.at(j, i - table.first[Taps::index(j)]) = taps.weight[Taps::index(i * taps.most + k)];
    }
  return table;
}

struct Inputs {
  index_t first = 0, count = 0;
};

/// The consecutive inputs that the outputs [begin, end) read.
Inputs inputs_of(const Taps& taps, index_t begin, index_t end) {
  index_t first = taps.in, stop = 0;
  for (index_t i = begin; i < std::min(end, taps.out); ++i) {
    if (taps.count[Taps::index(i)] == 0) continue;
    first = std::min(first, taps.first[Taps::index(i)]);
    stop = std::max(stop, taps.first[Taps::index(i)] + taps.count[Taps::index(i)]);
  }
  return stop == 0 ? Inputs{} : Inputs{first, stop - first};
}

/// Taps as dense matrices: outputs that follow each other read much the same inputs, so that the
/// tiles of the GEMM serve.
template <class T>
struct Bands {
  /// Matrices of `each` outputs: the left operand of a product (outputs, depth), or, with a panel's
  /// width, the right one (depth, width).
  Bands(const Taps& taps, index_t outputs, index_t width = 0) : each(outputs) {
    for (index_t i = 0; i < taps.out; i += each) inputs.push_back(inputs_of(taps, i, i + each));
    for (const Inputs& group : inputs) depth = std::max(depth, group.count);
    const index_t across = width > 0 ? 1 : depth,
                  along = width > 0 ? width : 1;  // from output to output, from input to input
    matrices = Tensor<T>(Shape{size(), depth * std::max(each, width)}, T(0));
    for (index_t i = 0; i < taps.out; ++i)
      for (index_t k = 0; k < taps.count[Taps::index(i)]; ++k) {
        const index_t input = taps.first[Taps::index(i)] + k - inputs[Taps::index(i / each)].first;
        matrices[i / each * matrices.extent(1) + i % each * across + input * along] =
            static_cast<T>(taps.weight[Taps::index(i * taps.most + k)]);
      }
  }

  [[nodiscard]] index_t size() const { return static_cast<index_t>(inputs.size()); }
  [[nodiscard]] const T* matrix(index_t group) const {
    return matrices.data() + group * matrices.extent(1);
  }

  index_t each, depth = 1;
  std::vector<Inputs> inputs;  // of each matrix
  Tensor<T> matrices;          // (groups, elements)
};

// to (planes, y.out, x.out) from `from` (planes, y.in, x.in). A task computes some rows of `to`:
// the rows that they read are resized along x into panels, which stay in the level-2 cache, and
// those along y. The few rows that neighbouring tasks share are computed by both.
template <class T>
void apply(const Taps& y, const Taps& x, index_t planes, const T* from, T* to) {
  constexpr index_t kRowsPerTask = 2 * detail::kRowGranularity;
  const detail::KernelTable<T>& table = detail::kernel_table<T>();
  const index_t width = table.panel_width, panels = ceil_div(x.out, width),
                tasks = ceil_div(y.out, kRowsPerTask);
  const Bands<T> along_x(x, table.lanes, width), along_y(y, table.tile_rows);
  std::vector<Inputs> read;  // rows of a task
  index_t most = 1;
  for (index_t task = 0; task < tasks; ++task) {
    read.push_back(inputs_of(y, task * kRowsPerTask, (task + 1) * kRowsPerTask));
    most = std::max(most, read.back().count);
  }
  const ParallelLoop loop(planes * tasks,
                          ceil_div(detail::kMinParallelWork, most * x.out * along_x.depth));
  Tensor<T> memory(Shape{loop.slots(), panels, most, width});  // (slots, panels, rows, width)
  loop.run([&](index_t begin, index_t end, index_t slot) {
    T* const middle = memory.data() + slot * panels * most * width;
    PanelProduct<T, T> part{};
    part.column_stride = 1;
    for (index_t at = begin; at < end; ++at) {
      const index_t plane = at / tasks, row = at % tasks * kRowsPerTask,
                    stop = std::min(y.out, row + kRowsPerTask);
      const Inputs rows = read[Taps::index(at % tasks)];
      part.rows = rows.count;
      part.row_stride = x.in;
      part.columns = along_x.each;
      part.out_stride = width;
      part.out_is_cached = true;
      for (index_t g = 0; g < along_x.size(); ++g) {
        part.k = along_x.inputs[Taps::index(g)].count;
        part.a = from + (plane * y.in + rows.first) * x.in + along_x.inputs[Taps::index(g)].first;
        part.panel = along_x.matrix(g);
        part.out = middle + g * along_x.each / width * most * width + g * along_x.each % width;
        table.gemm_panel(part);
      }
      part.row_stride = along_y.depth;
      part.out_stride = x.out;
      part.out_is_cached = false;
      for (index_t i = row; i < stop; i += along_y.each) {
        const Inputs group = along_y.inputs[Taps::index(i / along_y.each)];
        part.rows = std::min(along_y.each, stop - i);
        part.k = group.count;
        part.a = along_y.matrix(i / along_y.each);
        for (index_t panel = 0; panel < panels; ++panel) {
          part.panel =
              middle + (panel * most + group.first - (group.count > 0 ? rows.first : 0)) * width;
          part.columns = std::min(width, x.out - panel * width);
          part.out = to + (plane * y.out + i) * x.out + panel * width;
          table.gemm_panel(part);
        }
      }
    }
  });
}

template <class T>
void check(std::string_view where, const View<const T>& from, const View<T>& to) {
  const Shape &a = from.shape(), &b = to.shape();
  if (a.rank() != 4 || b.rank() != 4 || a[0] != b[0] || a[1] != b[1])
    raise<ShapeError>(where, ": expected (B, C, H, W) and (B, C, h, w), got ", a, " and ", b);
  if (a.numel() == 0 || b.numel() == 0)
    raise<ShapeError>(where, ": cannot resize ", a, " to ", b, "; every extent must be positive");
  detail::require_elements(where, a.numel(), from);
  detail::require_elements(where, b.numel(), to);
}

}  // namespace

template <Real T>
void resize(View<const T> image, Resize method, View<T> out) {
  const detail::ProfiledKernel profiled(detail::KernelKind::copy,
                                        [&] { return detail::cost_of_bytes(image, out); });
  check("resize", image, out);
  apply(make_taps(image.extent(2), out.extent(2), method),
        make_taps(image.extent(3), out.extent(3), method), image.extent(0) * image.extent(1),
        image.data(), out.data());
}

template <Real T>
void resize_backward(View<const T> dout, Resize method, View<T> dimage) {
  const detail::ProfiledKernel profiled(detail::KernelKind::copy,
                                        [&] { return detail::cost_of_bytes(dout, dimage); });
  check("resize_backward", dout, dimage);
  apply(transposed(make_taps(dimage.extent(2), dout.extent(2), method)),
        transposed(make_taps(dimage.extent(3), dout.extent(3), method)),
        dout.extent(0) * dout.extent(1), dout.data(), dimage.data());
}

template void resize<float>(View<const float>, Resize, View<float>);
template void resize<double>(View<const double>, Resize, View<double>);
template void resize_backward<float>(View<const float>, Resize, View<float>);
template void resize_backward<double>(View<const double>, Resize, View<double>);

}  // namespace rae
