// The product of a transposed matrix, as in the gradient of a weight: a^T (M, K) * b (K, N), where
// a (K, M) and b are row-major along k.
//
// Read in place, each step of k would load a cache line of a from another page. So the product is
// computed in k-blocks, and pieces of both operands are packed, k by k, into memory that fits the
// caches: pieces [depth][rows] of a and [depth][width] of b.
//
//                    N
//               +----+----+----+   All pieces of the shorter side of out are kept while those of
//               the
//      a  piece |    |    |    |   longer side are packed one by one, each once. A thread has a run
//      of
//     M   piece |    |    |    |   pieces of the longer side and all of the shorter: it uses each
//         piece |    |    |    |   packed piece for as many products as the shorter side has
//         pieces.
//               +----+----+----+
#pragma once

#include <algorithm>

#include "kernels/panel_loop.hpp"
#include "rae/core/tensor.hpp"

namespace rae::detail {

// Words along k of a k-block. Sums are stored and loaded between k-blocks, a load and a store for
// every kTransposedKBlock products; a piece of 96 rows is 96 KiB.
inline constexpr index_t kTransposedKBlock = 256;

/// `whole` describes the product without its operands, with k in words. `pack_left(first row, rows,
/// first word, words, target)` writes [words][rows]; `pack_right(panel, first word, words,
/// scratch, target)` writes [words][width], where `scratch` are `scratch_words` words that only
/// this range of the loop uses.
template <class Word, class T, class PackLeft, class PackRight>
void multiply_transposed(const PanelProduct<Word, T>& whole,
                         void (*multiply)(const PanelProduct<Word, T>&), index_t width,
                         PackLeft pack_left, index_t scratch_words, PackRight pack_right) {
  const index_t m = whole.rows, n = whole.columns, k = whole.k;
  const index_t most_rows = ceil_div(ceil_div(m, ceil_div(m, kRowsPerTask)), kRowGranularity) *
                            kRowGranularity;  // of a piece
  const index_t blocks = ceil_div(m, most_rows), panels = ceil_div(n, width),
                depth = std::min(k, kTransposedKBlock);
  const bool rows_outside = m >= n;
  const index_t inside = rows_outside ? panels : blocks;  // pieces of the shorter side
  const index_t left_size = ceil_div(depth * most_rows, 16) * 16,
                right_size = ceil_div(depth * width, 16) * 16;  // aligned for vectors
  const index_t size =
      rows_outside ? left_size + panels * right_size : blocks * left_size + right_size;
  const ParallelLoop loop(blocks * panels,
                          ceil_div(kMinParallelWork, std::min(m, most_rows) * std::min(n, width) *
                                                         std::max<index_t>(1, k)));
  const SlotMemory<Word> memory(loop, size + scratch_words);
  loop.run([&](index_t begin, index_t end, index_t slot) {
    Word* const lefts = memory.of(slot);
    Word* const rights = lefts + (rows_outside ? 1 : blocks) * left_size;
    Word* const scratch = lefts + size;
    for (index_t done = 0; done < k || done == 0; done += kTransposedKBlock) {
      const index_t words = std::min(kTransposedKBlock, k - done);
      const bool ends = done + kTransposedKBlock >= k;
      for (index_t task = begin; task < end; ++task) {
        const index_t at = task % inside;
        const index_t block = rows_outside ? task / inside : at,
                      panel = rows_outside ? at : task / inside;
        const index_t first = block * most_rows, rows = std::min(most_rows, m - first),
                      column = panel * width;
        Word *const left = lefts + (rows_outside ? 0 : at) * left_size, *const right =
                                                                            rights + (rows_outside
                                                                                          ? at
                                                                                          : 0) *
                                                                                         right_size;
        const bool inner_is_new = task - begin < inside, outer_is_new = task == begin || at == 0;
        if (rows_outside ? outer_is_new : inner_is_new) pack_left(first, rows, done, words, left);
        if (rows_outside ? inner_is_new : outer_is_new)
          pack_right(panel, done, words, scratch, right);
        PanelProduct<Word, T> part = whole;
        part.rows = rows;
        part.columns = std::min(width, n - column);
        part.row = first;
        part.out = whole.out + first * whole.out_stride + column;
        part.k = words;
        part.a = left;
        part.row_stride = 1;
        part.column_stride = rows;
        part.panel = right;
        part.next = right + words * width;
        part.next_bytes = rows_outside && !inner_is_new && at + 1 < inside
                              ? words * width * index_t{sizeof(Word)}
                              : 0;
        part.bias = ends && whole.bias ? whole.bias + column : nullptr;
        part.activation = ends ? whole.activation : Activation::none;
        part.accumulate = whole.accumulate || done > 0;
        part.residual = ends && whole.residual
                            ? whole.residual + first * whole.residual_stride + column
                            : nullptr;
        part.gate = ends && whole.gate ? whole.gate + column : nullptr;
        multiply(part);
      }
    }
  });
}

}  // namespace rae::detail
