// The loop over rows and panels of a product with many rows, as in training: 4096 tokens and a
// weight of a megabyte.
//
// Where panel_loop.hpp keeps a panel in the caches during a loop over all rows, this keeps a block
// of rows there during a loop over all panels: the larger operand is read from memory once, and the
// prologue of its rows and the epilogue of the results work on a block in the level-2 cache.
#pragma once

#include <algorithm>

#include "kernels/panel_loop.hpp"

namespace rae::detail {

// Rows of a block, for any number of threads: sums over rows are made block by block. Even, and a
// multiple of the tile heights 8 and 4.
inline constexpr index_t kRowBlock = 64;

/// True when a product of m rows and k words is to be computed in row blocks: there are several for
/// every thread, and one fits the level-2 cache.
inline bool suits_row_blocks(index_t m, index_t k) {
  constexpr index_t kMostWords = 2048;
  return k <= kMostWords && m >= 4 * kRowBlock * num_threads();
}

/// The loop over all units of m rows.
class RowUnits {
 public:
  explicit RowUnits(index_t m) : m_(m), loop_(ceil_div(m, kRowBlock), 1) {}

  /// Units that are worked on at a time.
  [[nodiscard]] index_t slots() const { return loop_.slots(); }

  /// Calls body(first row, rows, slot) for each unit, in parallel; slot < slots().
  template <class Body>
  void run(Body body) const {
    loop_.run([&](index_t begin, index_t end, index_t slot) {
      for (index_t unit = begin; unit < end; ++unit)
        body(unit * kRowBlock, std::min(kRowBlock, m_ - unit * kRowBlock), slot);
    });
  }

 private:
  index_t m_;
  ParallelLoop loop_;
};

/// `whole` describes the product of the rows of `units` without its operands, with k in words;
/// `panels` are those of all columns. `rows_of(first row, rows, slot)` returns the left operand
/// from that row on; `finish(first row, rows)` is called when those rows of out are complete.
template <class Word, class T, class RowsOf, class Finish>
void multiply_row_blocks(const RowUnits& units, const PanelProduct<Word, T>& whole,
                         void (*multiply)(const PanelProduct<Word, T>&), index_t width,
                         const Word* panels, RowsOf rows_of, Finish finish) {
  const index_t n = whole.columns, count = ceil_div(n, width), size = whole.k * width;
  units.run([&](index_t first, index_t rows, index_t slot) {
    PanelProduct<Word, T> part = whole;
    part.rows = rows;
    part.row = first;
    part.a = rows_of(first, rows, slot);
    part.next_bytes = size * static_cast<index_t>(sizeof(Word));
    for (index_t panel = 0; panel < count; ++panel) {
      const index_t column = panel * width;
      part.columns = std::min(width, n - column);
      part.out = whole.out + first * whole.out_stride + column;
      part.panel = panels + panel * size;
      part.next = panels + (panel + 1) % count * size;
      if (whole.bias) part.bias = whole.bias + column;
      multiply(part);
    }
    finish(first, rows);
  });
}

}  // namespace rae::detail
