#include "rae/kernels/conv.hpp"

#include <algorithm>
#include <vector>

#include "core/kernel_profile.hpp"
#include "kernels/contiguous.hpp"
#include "kernels/kernel_table.hpp"
#include "kernels/panel_loop.hpp"
#include "kernels/require_window.hpp"
#include "rae/core/parallel.hpp"
#include "rae/core/tensor.hpp"

namespace rae {
namespace {

using detail::ceil_div;
using detail::CopyRun;

// Elements of the panels, and of the rows, that are multiplied with each other while both are in a
// level-2 cache.
constexpr index_t kPanelElements = 192 * 1024, kRowElements = 64 * 1024;
constexpr index_t kMostRows = 96;  // of a product; a multiple of all tile heights
// Partial sums of a weight's gradient: fixed, so that the total does not depend on threads. Fewer
// for large weights, whose sums would not fit a cache.
constexpr index_t kMostSums = 16, kLeastSums = 4, kSumElements = index_t{1} << 23;

/// Rows or columns of a correlation. Output p reads source elements p * step + i - pad, for each
/// tap i, where those outside count as zeros, and is element p * target_step + target_first of the
/// target.
struct Axis {
  index_t source, outputs, taps, step, pad;
  index_t target, target_step, target_first;
};

struct Correlation {
  index_t pictures, in, out;  // in, out: channels of source and target
  Axis rows, columns;

  [[nodiscard]] index_t taps() const { return rows.taps * columns.taps; }
  [[nodiscard]] index_t outputs() const { return rows.outputs * columns.outputs; }
};

/// Neighbouring outputs: whole pictures, or rows of one picture.
struct Block {
  index_t first_picture, pictures, first_row, rows;
};

/// Divides outputs into blocks of about `target` outputs.
class Blocks {
 public:
  Blocks(const Correlation& g, index_t target) : g_(g) {
    const index_t parts = std::max<index_t>(1, g.outputs() / std::max<index_t>(1, target));
    rows_ = ceil_div(g.rows.outputs, parts);
    pictures_ = parts > 1 ? 1 : std::clamp<index_t>(target / g.outputs(), 1, g.pictures);
  }

  [[nodiscard]] index_t count() const {
    return ceil_div(g_.pictures, pictures_) * ceil_div(g_.rows.outputs, rows_);
  }
  [[nodiscard]] Block operator[](index_t i) const {
    const index_t parts = ceil_div(g_.rows.outputs, rows_), picture = i / parts * pictures_,
                  row = i % parts * rows_;
    return {picture, std::min(pictures_, g_.pictures - picture), row,
            std::min(rows_, g_.rows.outputs - row)};
  }
  /// Outputs of the largest block.
  [[nodiscard]] index_t outputs() const { return pictures_ * rows_ * g_.columns.outputs; }
  /// Pictures of the largest block.
  [[nodiscard]] index_t pictures() const { return pictures_; }
  /// Rows of the largest block.
  [[nodiscard]] index_t rows() const { return rows_; }

 private:
  Correlation g_;
  index_t pictures_, rows_;
};

/// The source of a block inside a border of zeros, (pictures, C, rows, step, columns): the columns
/// are sorted by their remainder modulo the step, so that those which neighbouring outputs read
/// under the same tap are neighbours.
template <class T>
class Padded {
 public:
  Padded(const Correlation& g, const Blocks& blocks)
      : g_(g),
        columns_(g.columns.outputs + ceil_div(g.columns.taps, g.columns.step) - 1),
        storage_(Shape{blocks.pictures() * g.in * rows_for(blocks.rows()) * row_size() +
                       detail::kernel_table<T>().lanes},
                 T(0)),
        data_(storage_.data()) {}

  void fill(const T* source, const Block& block) {
    block_ = block;
    const index_t rows = rows_for(block.rows), planes = block.pictures * g_.in;
    plane_ = rows * row_size();
    source += block.first_picture * g_.in * g_.rows.source * g_.columns.source;
    T* to = data_;
    for (index_t plane = 0; plane < planes; ++plane)
      for (index_t r = 0; r < rows; ++r, to += row_size()) {
        const index_t row = block.first_row * g_.rows.step + r - g_.rows.pad;
        if (row < 0 || row >= g_.rows.source)
          std::fill_n(to, row_size(), T(0));
        else
          fill_row(source + (plane * g_.rows.source + row) * g_.columns.source, to);
      }
  }

  [[nodiscard]] const T* data() const { return data_; }
  /// Elements between two channels.
  [[nodiscard]] index_t plane() const { return plane_; }
  /// The place of the first output of a row of the block under the first tap.
  [[nodiscard]] index_t place(index_t picture, index_t row) const {
    return picture * g_.in * plane_ + row * g_.rows.step * row_size();
  }
  /// Elements between the places under the first tap and under tap `i`.
  [[nodiscard]] index_t tap(index_t i) const {
    const index_t row = i / g_.columns.taps, column = i % g_.columns.taps;
    return row * row_size() + column % g_.columns.step * columns_ + column / g_.columns.step;
  }

 private:
  [[nodiscard]] index_t row_size() const { return g_.columns.step * columns_; }
  [[nodiscard]] index_t rows_for(index_t outputs) const {
    return (outputs - 1) * g_.rows.step + g_.rows.taps;
  }
  void fill_row(const T* from, T* to) const {
    const Axis& axis = g_.columns;
    if (axis.step > 1) {
      for (index_t phase = 0; phase < axis.step; ++phase, to += columns_) {
        const index_t column = phase - axis.pad;  // of the source, for to[0]
        const index_t first =
            std::clamp<index_t>(ceil_div(std::max<index_t>(-column, 0), axis.step), 0, columns_);
        const index_t last = std::clamp<index_t>(
            ceil_div(std::max<index_t>(axis.source - column, 0), axis.step), first, columns_);
        std::fill_n(to, first, T(0));
        for (index_t i = first; i < last; ++i) to[i] = from[column + i * axis.step];
        std::fill_n(to + last, columns_ - last, T(0));
      }
      return;
    }
    const index_t first = std::clamp<index_t>(axis.pad, 0, columns_),
                  last = std::clamp<index_t>(axis.pad + axis.source, first, columns_);
    std::fill_n(to, first, T(0));
    std::copy(from + first - axis.pad, from + last - axis.pad, to + first);
    std::fill_n(to + last, columns_ - last, T(0));
  }

  Correlation g_;
  index_t columns_;
  Tensor<T> storage_;  // (pictures * C * plane + lanes)
  T* data_;
  Block block_{};
  index_t plane_ = 0;
};

/// Calls f(picture, row, column, length) for the rows of outputs [first, last) of a block.
template <class F>
void for_rows(const Correlation& g, const Block& block, index_t first, index_t last, F f) {
  const index_t width = g.columns.outputs;
  for (index_t at = first; at < last;) {
    const index_t row = at / width, column = at % width,
                  length = std::min(width - column, last - at);
    f(row / block.rows, row % block.rows, column, length);
    at += length;
  }
}

/// The runs of memory of outputs [first, last) of a block in the padded source.
template <class T>
void source_runs(const Correlation& g, const Block& block, const Padded<T>& padded, index_t first,
                 index_t last, std::vector<CopyRun>& runs) {
  runs.clear();
  index_t to = 0;
  for_rows(g, block, first, last,
           [&](index_t picture, index_t row, index_t column, index_t length) {
             runs.push_back({padded.place(picture, row) + column, to, length});
             to += length;
           });
}

/// The same in the target's first channel.
void target_runs(const Correlation& g, const Block& block, index_t first, index_t last,
                 std::vector<CopyRun>& runs) {
  runs.clear();
  const index_t plane = g.rows.target * g.columns.target;
  index_t from = 0;
  for_rows(g, block, first, last,
           [&](index_t picture, index_t row, index_t column, index_t length) {
             const index_t y = (block.first_row + row) * g.rows.target_step + g.rows.target_first;
             const index_t x = column * g.columns.target_step + g.columns.target_first;
             const index_t to =
                 (block.first_picture + picture) * g.out * plane + y * g.columns.target + x;
             if (!runs.empty() && g.columns.target_step == 1 &&
                 runs.back().to + runs.back().length == to)
               runs.back().length += length;
             else
               runs.push_back({from, to, length});
             from += length;
           });
}

/// target = weight (out, taps * in) times the source under the taps, plus bias (out) or null.
template <class T>
void correlate(const Correlation& g, const T* source, const T* weight, const T* bias, T* target) {
  const auto& table = detail::kernel_table<T>();
  const index_t taps = g.taps(), depth = taps * g.in, width = table.panel_width,
                plane = g.rows.target * g.columns.target, step = g.columns.target_step;
  const index_t panels = std::clamp<index_t>(kPanelElements / (depth * width), 1, 24);
  const index_t rows =
      std::clamp<index_t>(kRowElements / depth / detail::kRowGranularity * detail::kRowGranularity,
                          detail::kRowGranularity, kMostRows);
  const Blocks blocks(g, panels * width);
  parallel_ranges(blocks.count(), 1, [&](index_t begin, index_t end) {
    Padded<T> padded(g, blocks);
    // (panels, kh*kw*C, width) and lanes that copies may overwrite
    Tensor<T> panel_storage(Shape{panels * depth * width + table.lanes});
    Tensor<T> sums_storage(Shape{rows, width});  // (rows, width)
    T *const panel = panel_storage.data(), *const sums = sums_storage.data();
    std::vector<CopyRun> runs;
    std::vector<std::vector<CopyRun>> targets(static_cast<std::size_t>(panels));
    for (index_t i = begin; i < end; ++i) {
      const Block block = blocks[i];
      padded.fill(source, block);
      const index_t outputs = block.pictures * block.rows * g.columns.outputs;
      for (index_t first = 0; first < outputs; first += panels * width) {
        const index_t used = std::min(panels, ceil_div(outputs - first, width));
        const auto columns_of = [&](index_t p) {
          return std::min(width, outputs - first - p * width);
        };
        for (index_t p = 0; p < used; ++p) {
          const index_t from = first + p * width, columns = columns_of(p);
          T* const to = panel + p * depth * width;
          if (columns < width) std::fill_n(to, depth * width, T(0));
          source_runs(g, block, padded, from, from + columns, runs);
          for (index_t tap = 0; tap < taps; ++tap)
            table.copy_runs(padded.data() + padded.tap(tap), padded.plane(), g.in, runs.data(),
                            static_cast<index_t>(runs.size()), to + tap * g.in * width, width);
          target_runs(g, block, from, from + columns, targets[static_cast<std::size_t>(p)]);
        }
        for (index_t o = 0; o < g.out; o += rows)
          for (index_t p = 0; p < used; ++p) {
            const index_t count = std::min(rows, g.out - o);
            table.gemm_panel({.rows = count,
                              .k = depth,
                              .a = weight + o * depth,
                              .row_stride = depth,
                              .column_stride = 1,
                              .panel = panel + p * depth * width,
                              .columns = columns_of(p),
                              .out = sums,
                              .out_stride = width,
                              .bias = nullptr,
                              .activation = Activation::none,
                              .accumulate = false,
                              .out_is_cached = true});
            for (index_t r = 0; r < count; ++r) {
              const T shift = bias ? bias[o + r] : T(0);
              for (const CopyRun& run : targets[static_cast<std::size_t>(p)]) {
                const T* from = sums + r * width + run.from;
                T* to = target + run.to + (o + r) * plane;
                if (step == 1)
                  for (index_t x = 0; x < run.length; ++x) to[x] = from[x] + shift;
                else
                  for (index_t x = 0; x < run.length; ++x) to[x * step] = from[x] + shift;
              }
            }
          }
      }
    }
  });
}

/// Axis of the forward pass.
Axis forward_axis(index_t source, index_t outputs, index_t taps, index_t step, index_t pad) {
  return {source, outputs, taps, step, pad, outputs, 1, 0};
}

/// Axis of the gradient of those elements of the source whose place in the padded source is
/// `phase` modulo the step: only every step-th tap reads them.
Axis backward_axis(const Axis& forward, index_t phase) {
  const index_t taps = forward.taps > phase ? ceil_div(forward.taps - phase, forward.step) : 0,
                skipped = std::max<index_t>(0, ceil_div(forward.pad - phase, forward.step)),
                first = forward.step * skipped + phase - forward.pad;
  return {forward.outputs,
          first < forward.source ? ceil_div(forward.source - first, forward.step) : 0,
          taps,
          1,
          taps - 1 - skipped,
          forward.source,
          forward.step,
          first};
}

/// Checks the shapes of a convolution.
Correlation forward_of(std::string_view where, const Shape& x, const Shape& weight, const Window& w,
                       const Shape& out) {
  detail::require_window(where, x, w);
  if (weight.rank() != 4 || !(weight == Shape{weight[0], x[1], w.height, w.width}) || weight[0] < 1)
    raise<ShapeError>(where, ": expected a weight (O, ", x[1], ", ", w.height, ", ", w.width,
                      "), got ", weight);
  require_shape(where, out, {x[0], weight[0], w.out_h(x[2]), w.out_w(x[3])});
  return {x[0], x[1], weight[0], forward_axis(x[2], out[2], w.height, w.stride, w.pad_h),
          forward_axis(x[3], out[3], w.width, w.stride, w.pad_w)};
}

/// Adds the gradients of a block: sums (taps, C, O) and bias_sums (O). `panels` holds dout
/// (outputs, width) for every panel of channels, `rows` the source under some taps.
template <class T>
void add_weight_gradient(const Correlation& g, const Block& block, const Padded<T>& padded,
                         const T* dout, T* panels, T* rows, index_t taps_of_rows,
                         std::vector<CopyRun>& runs, T* sums, double* bias_sums) {
  const auto& table = detail::kernel_table<T>();
  const index_t width = table.panel_width, plane = g.outputs(), taps = g.taps(),
                each = block.rows * g.columns.outputs, outputs = block.pictures * each;
  for (index_t first = 0; first < g.out; first += width)
    for (index_t b = 0; b < block.pictures; ++b)
      table.pack_panel(dout + ((block.first_picture + b) * g.out + first) * plane +
                           block.first_row * g.columns.outputs,
                       1, plane, each, std::min(width, g.out - first),
                       panels + first * outputs + b * each * width);
  for (index_t b = 0; b < block.pictures; ++b)
    for (index_t o = 0; o < g.out; ++o) {
      const T* from = dout + ((block.first_picture + b) * g.out + o) * plane +
                      block.first_row * g.columns.outputs;
      double total = 0;
      for (index_t i = 0; i < each; ++i) total += static_cast<double>(from[i]);
      bias_sums[o] += total;
    }
  source_runs(g, block, padded, 0, outputs, runs);
  const index_t stride = outputs;
  for (index_t tap = 0; tap < taps; tap += taps_of_rows) {
    const index_t used = std::min(taps_of_rows, taps - tap);
    for (index_t i = 0; i < used; ++i)
      table.copy_runs(padded.data() + padded.tap(tap + i), padded.plane(), g.in, runs.data(),
                      static_cast<index_t>(runs.size()), rows + i * g.in * stride, stride);
    for (index_t first = 0; first < g.out; first += width)
      table.gemm_panel({.rows = used * g.in,
                        .k = outputs,
                        .a = rows,
                        .row_stride = stride,
                        .column_stride = 1,
                        .panel = panels + first * outputs,
                        .columns = std::min(width, g.out - first),
                        .out = sums + tap * g.in * g.out + first,
                        .out_stride = g.out,
                        .bias = nullptr,
                        .activation = Activation::none,
                        .accumulate = true});
  }
}

/// The cost of a correlation of pictures (B, C, h, w) with weights (O, C, kh, kw): each of
/// `outputs` has as many products as a row of the weights.
template <class T>
detail::KernelCost cost_of(const View<const T>& weight, index_t outputs, const View<const T>& x,
                           const View<const T>& out) {
  detail::KernelCost cost = detail::cost_of_bytes(x, weight, out);
  cost.products = static_cast<double>(outputs) *
                  static_cast<double>(weight.numel() / std::max<index_t>(1, weight.extent(0)));
  return cost;
}

}  // namespace

template <Real T>
void conv2d(View<const T> x, View<const T> weight, View<const T> bias, const Window& window,
            View<T> out) {
  const Correlation g = forward_of("conv2d", x.shape(), weight.shape(), window, out.shape());
  detail::require_elements("conv2d: x", x.numel(), x);
  detail::require_elements("conv2d: weight", weight.numel(), weight);
  detail::require_elements("conv2d: out", out.numel(), out);
  if (!bias.empty()) detail::require_elements("conv2d: bias", g.out, bias);
  const detail::ProfiledKernel profiled(detail::KernelKind::product,
                                        [&] { return cost_of<T>(weight, out.numel(), x, out); });
  const index_t taps = g.taps();
  Tensor<T> arranged(Shape{g.out, taps, g.in});  // (O, kh*kw, C)
  T* target = arranged.data();
  const T* source = weight.data();
  parallel_for(g.out, detail::row_grain(taps * g.in), [=](index_t o) {
    for (index_t c = 0; c < g.in; ++c)
      for (index_t i = 0; i < taps; ++i)
        target[(o * taps + i) * g.in + c] = source[(o * g.in + c) * taps + i];
  });
  correlate<T>(g, x.data(), target, bias.data(), out.data());
}

template <Real T>
void conv2d_backward_input(View<const T> dout, View<const T> weight, const Window& window,
                           View<T> dx) {
  const Correlation g =
      forward_of("conv2d_backward_input", dx.shape(), weight.shape(), window, dout.shape());
  detail::require_elements("conv2d_backward_input: weight", weight.numel(), weight);
  detail::require_elements("conv2d_backward_input: dout", dout.numel(), dout);
  detail::require_elements("conv2d_backward_input: dx", dx.numel(), dx);
  const detail::ProfiledKernel profiled(detail::KernelKind::product,
                                        [&] { return cost_of<T>(weight, dout.numel(), dout, dx); });
  // The gradient is a correlation of dout with the taps in reversed order; for a larger stride, one
  // for each remainder of row and column, with the taps that read such elements.
  const index_t step = window.stride, taps = g.taps();
  const bool all_read = step <= std::min(window.height, window.width);
  if (!all_read) std::fill_n(dx.data(), dx.numel(), T(0));
  Tensor<T> arranged(Shape{g.in, taps, g.out});  // (C, kh*kw, O)
  T* target = arranged.data();
  const T* source = weight.data();
  for (index_t phase = 0; phase < step * step; ++phase) {
    const index_t row = phase / step, column = phase % step;
    const Correlation back{g.pictures, g.out, g.in, backward_axis(g.rows, row),
                           backward_axis(g.columns, column)};
    const index_t used = back.taps();
    if (used == 0 || back.outputs() == 0) continue;
    parallel_for(g.in, detail::row_grain(used * g.out), [=](index_t c) {
      for (index_t n = 0; n < used; ++n) {
        const index_t i = row + step * (back.rows.taps - 1 - n / back.columns.taps),
                      j = column + step * (back.columns.taps - 1 - n % back.columns.taps);
        for (index_t o = 0; o < g.out; ++o)
          target[(c * used + n) * g.out + o] =
              source[(o * g.in + c) * taps + i * g.columns.taps + j];
      }
    });
    correlate<T>(back, dout.data(), target, nullptr, dx.data());
  }
}

template <Real T>
void conv2d_backward_weight(View<const T> x, View<const T> dout, const Window& window,
                            View<T> dweight, View<T> dbias) {
  const Correlation g =
      forward_of("conv2d_backward_weight", x.shape(), dweight.shape(), window, dout.shape());
  detail::require_elements("conv2d_backward_weight: x", x.numel(), x);
  detail::require_elements("conv2d_backward_weight: dout", dout.numel(), dout);
  detail::require_elements("conv2d_backward_weight: dweight", dweight.numel(), dweight);
  if (!dbias.empty()) detail::require_elements("conv2d_backward_weight: dbias", g.out, dbias);
  const auto& table = detail::kernel_table<T>();
  const detail::ProfiledKernel profiled(detail::KernelKind::product,
                                        [&] { return cost_of<T>(dweight, dout.numel(), x, dout); });
  const index_t taps = g.taps(), weights = taps * g.in * g.out,
                padded_out = ceil_div(g.out, table.panel_width) * table.panel_width;
  const Blocks blocks(
      g, std::clamp<index_t>(std::min(kRowElements / g.in, kPanelElements / padded_out), 48, 384));
  const index_t groups =
      std::min(blocks.count(), std::clamp<index_t>(kSumElements / weights, kLeastSums, kMostSums));
  const index_t taps_of_rows =
      std::clamp<index_t>(kRowElements / (g.in * blocks.outputs()), 1, taps);
  Tensor<T> sums_storage = Tensor<T>::zeros(Shape{groups, weights});  // (groups, kh*kw, C, O)
  Tensor<double> bias_storage = Tensor<double>::zeros(Shape{groups, g.out});  // (groups, O)
  T* const sums = sums_storage.data();
  double* const bias_sums = bias_storage.data();
  parallel_ranges(groups, 1, [&](index_t begin, index_t end) {
    Padded<T> padded(g, blocks);
    Tensor<T> panels(Shape{padded_out * blocks.outputs()});  // (O / width, outputs, width)
    // (taps, C, outputs) and lanes that copies may overwrite
    Tensor<T> rows(Shape{taps_of_rows * g.in * blocks.outputs() + table.lanes});
    std::vector<CopyRun> runs;
    for (index_t group = begin; group < end; ++group)
      for (index_t i = blocks.count() * group / groups; i < blocks.count() * (group + 1) / groups;
           ++i) {
        padded.fill(x.data(), blocks[i]);
        add_weight_gradient<T>(g, blocks[i], padded, dout.data(), panels.data(), rows.data(),
                               taps_of_rows, runs, sums + group * weights,
                               bias_sums + group * g.out);
      }
  });
  T* const target = dweight.data();
  parallel_for(g.in, detail::row_grain(groups * taps * g.out), [=](index_t c) {
    for (index_t i = 0; i < taps; ++i) {
      T* const row = sums + (i * g.in + c) * g.out;
      for (index_t group = 1; group < groups; ++group)
        for (index_t o = 0; o < g.out; ++o) row[o] += row[group * weights + o];
      for (index_t o = 0; o < g.out; ++o) target[(o * g.in + c) * taps + i] += row[o];
    }
  });
  if (dbias.empty()) return;
  for (index_t o = 0; o < g.out; ++o) {
    double total = 0;
    for (index_t group = 0; group < groups; ++group) total += bias_sums[group * g.out + o];
    dbias.data()[o] += static_cast<T>(total);
  }
}

template void conv2d<float>(View<const float>, View<const float>, View<const float>, const Window&,
                            View<float>);
template void conv2d<double>(View<const double>, View<const double>, View<const double>,
                             const Window&, View<double>);
template void conv2d_backward_input<float>(View<const float>, View<const float>, const Window&,
                                           View<float>);
template void conv2d_backward_input<double>(View<const double>, View<const double>, const Window&,
                                            View<double>);
template void conv2d_backward_weight<float>(View<const float>, View<const float>, const Window&,
                                            View<float>, View<float>);
template void conv2d_backward_weight<double>(View<const double>, View<const double>, const Window&,
                                             View<double>, View<double>);

}  // namespace rae
