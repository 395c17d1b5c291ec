// The loop over rows and panels of a product with many rows, as those of training are: 4096 tokens
// against a weight of a megabyte.
//
// Where panel_loop.hpp keeps a panel in the caches while all rows pass by, this keeps a block of
// rows there while all panels do: the larger operand comes from memory once, and what is done to
// its rows before the product, or to the results behind it, is done to a block that lies in the
// level-2 cache.
#pragma once

#include <algorithm>

#include "kernels/panel_loop.hpp"

namespace rae::detail {

// Blocks begin at multiples of this, whatever the number of threads: sums over rows are made in
// such units. Even, and of 8 and 4 rows' tiles a multiple.
inline constexpr index_t kRowUnit = 64;

/// Whether blocks of rows suit a product of m rows and k words: every thread needs several, and one
/// must fit the level-2 cache.
inline bool many_rows(index_t m, index_t k) {
  constexpr index_t kMostWords = 2048;
  return k <= kMostWords && m >= 4 * kRowUnit * num_threads();
}

/// The loop over all units of m rows.
class RowUnits {
 public:
  explicit RowUnits(index_t m) : m_(m), loop_(ceil_div(m, kRowUnit), 1) {}

  /// Units that are worked on at a time.
  [[nodiscard]] index_t slots() const { return loop_.slots(); }

  /// Calls body(first row, rows, slot) for each unit, in parallel; slot < slots().
  template <class Body>
  void run(Body body) const {
    loop_.run([&](index_t begin, index_t end, index_t slot) {
      for (index_t unit = begin; unit < end; ++unit)
        body(unit * kRowUnit, std::min(kRowUnit, m_ - unit * kRowUnit), slot);
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
void multiply_rows(const RowUnits& units, const PanelProduct<Word, T>& whole,
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
