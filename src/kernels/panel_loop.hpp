// The loop over panels and rows that all matrix products share.
#pragma once

#include <algorithm>

#include "kernels/kernel_table.hpp"
#include "rae/config.hpp"
#include "rae/core/cancellation.hpp"
#include "rae/core/parallel.hpp"
#include "rae/kernels/gemm.hpp"
#include "rae/kernels/isa.hpp"

namespace rae::detail {

// The largest number of rows of a task, a multiple of every tile height and of kRowGranularity:
// small enough that the tasks of a product with few columns are balanced.
inline constexpr index_t kRowsPerTask = 96;
// Tasks for each thread that are enough for balance: with fewer, tasks get fewer rows. Over the
// products of a DiT^DH-XL on 256 tokens, 64 threads are busy 94 % of the time, and 82 % without
// this.
inline constexpr index_t kTasksPerThread = 8;
// Rows of tasks are rounded up to this multiple of the tile heights 8, 6 and 4.
inline constexpr index_t kRowGranularity = 24;
// The k-block: words along k that are added before sums are stored in memory. Such a block of a
// panel (864 KiB with AVX-512, 288 KiB with AVX2) stays in a level-2 cache. Measured on Zen 5:
// k-blocks for the level-1 cache (128 words) lose 3 % to loading and storing sums.
inline constexpr index_t kKBlock = 4608;
// Work in multiply-adds below which a second thread is not worth its cost.
inline constexpr index_t kMinParallelWork = 1 << 15;

// The largest number of rows of a product that is bound by reading its weights from memory.
// Prefetching the next panel then only disturbs the hardware prefetcher (measured on Zen 4, one
// row: 0.96 of the bandwidth without it and 0.85 with it for f32, 1.0 and 0.82 for bf16), while
// products of more rows need it (16 rows: 0.86 with it, 0.76 without).
inline constexpr index_t kMemoryBoundRows = 8;

// Bytes of the rows of a left operand that stay in the level-2 cache of a thread while a group of
// panels passes by, and bytes of such a group, which stays in the level-3 cache while the rows
// change. With panels of AVX2, whose tiles use each byte of the left operand for fewer products
// than those of AVX-512, the rows would otherwise pass through the caches for each panel. Measured
// with AVX2 on Emerald Rapids, products of 256 rows: together with prefetching the panel, 0 to 4 %
// faster.
inline constexpr index_t kCachedRowBytes = index_t{400} << 10;
inline constexpr index_t kCachedPanelBytes = index_t{2} << 20;

constexpr index_t ceil_div(index_t a, index_t b) { return (a + b - 1) / b; }

/// 32-bit words between two rows of a converted left operand: an odd number of cache lines, so that
/// the rows of a tile do not all fall into the same sets of the level-1 cache.
constexpr index_t padded_row_words(index_t words) { return (ceil_div(words, 16) | 1) * 16; }

/// The `rows_in_cache` of multiply_panels for rows of f32 or f64 with the kernels in use.
template <class T>
index_t rows_in_cache(index_t k) {
  constexpr index_t kAvx2VectorBytes = 32;
  constexpr index_t kBytes = static_cast<index_t>(sizeof(T));
  if (kernel_table<T>().lanes * kBytes != kAvx2VectorBytes) return 0;
  return std::max(2 * kRowGranularity, kCachedRowBytes / (std::max<index_t>(1, k) * kBytes) /
                                           kRowGranularity * kRowGranularity);
}

/// The order of the columns of b (K, n) in the panels.
struct PanelMap {
  PanelColumns columns;
  index_t n, width;

  [[nodiscard]] index_t panels() const {
    return columns == PanelColumns::halves ? ceil_div(n / 2, width / 2) : ceil_div(n, width);
  }

  /// The column of b in column j of a panel; -1 for padding.
  [[nodiscard]] index_t column(index_t panel, index_t j) const {
    RAE_ASSERT(0 <= panel && panel < panels() && 0 <= j && j < width);
    if (columns == PanelColumns::neighbours) return panel * width + j < n ? panel * width + j : -1;
    const index_t half = width / 2, at = panel * half + j % half;
    return at < n / 2 ? (j < half ? at : n / 2 + at) : -1;
  }
};

/// The alignment that micro-kernels need of a panel.
template <class T>
bool is_aligned_for_vectors(const void* panel) {
  const auto vector_bytes = static_cast<std::uintptr_t>(kernel_table<T>().lanes) * sizeof(T);
  return reinterpret_cast<std::uintptr_t>(panel) % vector_bytes == 0;
}

/// Throws ArgumentError when b was packed for kernels that read panels of another width.
template <class T>
void require_panel_width(std::string_view where, const PackedMatrix<T>& b) {
  const index_t width = kernel_table<T>().panel_width;
  if (b.panel_width() != width && !b.empty())
    raise<ArgumentError>(where, ": the matrix was packed in panels of ", b.panel_width(),
                         " columns, but the kernels of ", name_of(active_isa()), " read panels of ",
                         width, "; pack it again after set_isa");
}

/// A product with its output and epilogue, still without operands.
template <class Word, class T>
PanelProduct<Word, T> epilogue_of(const View<T>& out, const BasicEpilogue<T>& epilogue) {
  return {.rows = out.extent(0),
          .k = 0,
          .a = nullptr,
          .row_stride = 0,
          .column_stride = 1,
          .panel = nullptr,
          .columns = out.extent(1),
          .out = out.data(),
          .out_stride = out.stride(0),
          .bias = epilogue.bias.data(),
          .activation = epilogue.activation,
          .accumulate = epilogue.accumulate,
          .up = out.extent(1),
          .residual = epilogue.residual.data(),
          .residual_stride = epilogue.residual.empty() ? 0 : epilogue.residual.stride(0),
          .gate = epilogue.gate.data,
          .gate_stride = epilogue.gate.stride,
          .rows_per_gate = epilogue.gate.empty()
                               ? 1
                               : std::max<index_t>(1, out.extent(0) / epilogue.gate.groups)};
}

/// Scratch memory for a loop: `words` words for each of its slots, aligned for vectors.
template <class Word>
class SlotMemory {
 public:
  SlotMemory(const ParallelLoop& loop, index_t words) : each_(ceil_div(words, kStep) * kStep) {
    if (each_ == 0) return;
    memory_ = Tensor<std::int32_t>(
        Shape{loop.slots(), each_, index_t{sizeof(Word) / sizeof(std::int32_t)}});
    data_ = reinterpret_cast<Word*>(memory_.data());
  }
  [[nodiscard]] Word* of(index_t slot) const { return data_ + slot * each_; }

 private:
  static_assert(sizeof(Word) % sizeof(std::int32_t) == 0);
  static constexpr index_t kStep = 16;  // of 4 bytes: a cache line
  index_t each_;
  Tensor<std::int32_t> memory_;  // (slots, words) of Word
  Word* data_ = nullptr;
};

/// Multiplies all columns: `whole` describes the product as if its columns were one panel.
/// `get_panel(panel, scratch)` returns the columns of the right operand from panel * width on,
/// where `scratch` are `scratch_words` words that only this range of the loop uses. `depth`: words
/// along k of a k-block. `prefetch_next_panel`: panels follow each other in memory, and the next is
/// prefetched. `rows_in_cache`: a thread multiplies this many rows with a group of panels before it
/// turns to other rows; 0: all rows with each panel, so that get_panel is called once for each.
template <class Word, class T, class GetPanel>
void multiply_panels(const PanelProduct<Word, T>& whole,
                     void (*multiply)(const PanelProduct<Word, T>&), index_t width, index_t depth,
                     bool prefetch_next_panel, index_t scratch_words, GetPanel get_panel,
                     index_t rows_in_cache = 0) {
  const index_t m = whole.rows, n = whole.columns, k = whole.k;
  const bool halves = whole.activation == Activation::swiglu;
  const index_t out_width = halves ? width / 2 : width;  // columns of out that a panel makes
  // SwiGLU combines both halves of a panel, which needs complete sums.
  if (halves) depth = std::max<index_t>(1, k);
  // Tasks run down the rows of one panel before the next panel, so that a thread keeps its panel in
  // cache. Every element of out is one sum over all of k, whichever thread computes it.
  index_t rows = ceil_div(ceil_div(m, ceil_div(m, kRowsPerTask)), kRowGranularity) *
                 kRowGranularity;  // of a task
  while (rows > kRowGranularity &&
         ceil_div(m, rows) * ceil_div(n, out_width) < kTasksPerThread * num_threads())
    rows -= kRowGranularity;
  if (rows_in_cache > 0)
    rows = std::min(rows, ceil_div(rows_in_cache, kRowGranularity) * kRowGranularity);
  const index_t panels_in_cache = std::max<index_t>(
      1, kCachedPanelBytes / std::max<index_t>(1, k * width * index_t{sizeof(Word)}));
  const index_t blocks = ceil_div(m, rows), count = blocks * ceil_div(n, out_width);
  const index_t work =
      std::min(m, rows) * std::min(n, out_width) * (width / out_width) * std::max<index_t>(1, k);
  const ParallelLoop loop(count, ceil_div(kMinParallelWork, work));
  const SlotMemory<Word> scratch(loop, scratch_words);
  // The rows [first, last) of a panel; `more`: this thread multiplies the next panel, too.
  const auto multiply_rows = [&](index_t panel, index_t first, index_t last, bool more,
                                 Word* memory) {
    stop_if_cancelled();
    const index_t column = panel * out_width;
    const index_t k_to_read =
        prefetch_next_panel && more ? 2 * k : k;  // words along k, counted from this panel
    PanelProduct<Word, T> part = whole;
    part.rows = last - first;
    part.columns = std::min(out_width, n - column);
    part.row = first;
    part.out = whole.out + first * whole.out_stride + column;
    part.scratch = memory;
    if (whole.row_scale) part.row_scale = whole.row_scale + first;
    if (whole.column_scale) part.column_scale = whole.column_scale + panel * width;
    if (whole.compensation) part.compensation = whole.compensation + panel * width;
    const Word* packed = get_panel(panel, memory);
    RAE_ASSERT(is_aligned_for_vectors<T>(packed));
    for (index_t done = 0; done < k || done == 0; done += depth) {
      const bool ends = done + depth >= k;
      const index_t stop = std::min(k, done + depth);
      part.k = stop - done;
      part.a = whole.a + first * whole.row_stride + done * whole.column_stride;
      part.panel = packed + done * width;
      part.next = packed + stop * width;
      part.next_bytes =
          std::min(depth, k_to_read - stop) * width * static_cast<index_t>(sizeof(Word));
      part.bias = ends && whole.bias ? whole.bias + column : nullptr;
      part.activation = ends ? whole.activation : Activation::none;
      part.accumulate = whole.accumulate || done > 0;
      part.residual = ends && whole.residual
                          ? whole.residual + first * whole.residual_stride + column
                          : nullptr;
      part.gate = ends && whole.gate ? whole.gate + column : nullptr;
      multiply(part);
    }
  };
  // Tasks in a run of panels: all rows of a panel before the next one, or with `rows_in_cache`
  // those rows of a group of panels before the next rows.
  const index_t run = rows_in_cache > 0 ? std::max<index_t>(1, rows_in_cache / rows) : blocks,
                group = rows_in_cache > 0 ? panels_in_cache : 1;
  loop.run([&](index_t begin, index_t end, index_t slot) {
    if (begin == end) return;
    const index_t final = (end - 1) / blocks;
    for (index_t start = begin / blocks; start <= final; start += group)
      for (index_t block = 0; block < blocks; block += run)
        for (index_t panel = start; panel <= final && panel < start + group; ++panel) {
          const index_t first = std::max(begin - panel * blocks, block),
                        last = std::min({end - panel * blocks, blocks, block + run});
          if (first < last)
            multiply_rows(panel, first * rows, std::min(m, last * rows), panel < final,
                          scratch.of(slot));
        }
  });
}

}  // namespace rae::detail
