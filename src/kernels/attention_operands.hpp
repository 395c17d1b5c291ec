// Packing of attention's operands for the micro-kernel: unchanged or rounded to bf16, for any
// combination of rotated and transposed rows.
#pragma once

#include <algorithm>

#include "kernels/kernel_table.hpp"
#include "kernels/panel_loop.hpp"
#include "rae/core/tensor.hpp"
#include "rae/kernels/attention.hpp"

namespace rae::detail {

constexpr index_t round_up(index_t n, index_t unit) { return ceil_div(n, unit) * unit; }

/// The columns of a right operand, in panels of about the same number of vectors: with 48 columns
/// in a panel, 64 of them are two panels of 32, not one of 48 and one of 16, whose few sums would
/// wait for each other.
struct Panels {
  index_t columns, width, lanes;

  [[nodiscard]] index_t count() const { return ceil_div(columns, width); }
  [[nodiscard]] index_t begin(index_t panel) const {
    return ceil_div(columns, lanes) * panel / count() * lanes;
  }
  [[nodiscard]] index_t padded(index_t panel) const { return begin(panel + 1) - begin(panel); }
  [[nodiscard]] index_t size(index_t panel) const {
    return std::min(columns, begin(panel + 1)) - begin(panel);
  }
};

/// A left operand: element (i, p) is data[i * row_stride + p * column_stride].
template <class Word>
struct Left {
  const Word* data;
  index_t row_stride, column_stride;
};

/// The operands of attention's products. `Word` is an element along k, as in PanelProduct.
template <class Word, class T>
struct Operands {
  static constexpr index_t kPerWord = __is_same(Word, T) ? 1 : 2;
  const KernelTable<T>& real = kernel_table<T>();
  index_t width;
  void (*multiply_panel)(const PanelProduct<Word, T>&);

  /// Words along k of a panel. A transposed operand is transposed in whole square blocks, so
  /// panels have room for words after the last.
  static index_t words(index_t k) { return ceil_div(k, kPerWord); }
  static index_t depth(index_t k) { return round_up(words(k), kSquare); }
  [[nodiscard]] Panels panels(index_t columns) const { return {columns, width, real.lanes}; }
  /// Words of all panels of a right operand (k, columns).
  [[nodiscard]] index_t size(index_t k, index_t columns) const {
    return ceil_div(columns, width) * width * depth(k);
  }

  /// out (count, columns) [+]= left (count, k) * right (k, columns). out is written in whole
  /// vectors.
  void multiply(index_t count, index_t k, const Left<Word>& left, const Word* right,
                index_t columns, T* out, index_t stride, bool accumulate = false) const {
    const Panels all = panels(columns);
    for (index_t panel = 0; panel < all.count(); ++panel)
      multiply_panel({.rows = count,
                      .k = words(k),
                      .a = left.data,
                      .row_stride = left.row_stride,
                      .column_stride = left.column_stride,
                      .panel = right + panel * width * depth(k),
                      .columns = all.padded(panel),
                      .out = out + all.begin(panel),
                      .out_stride = stride,
                      .bias = nullptr,
                      .activation = Activation::none,
                      .accumulate = accumulate,
                      .out_is_cached = true});
  }

 protected:
  static constexpr index_t kSquare = 16;
  Operands(index_t width_, void (*multiply_)(const PanelProduct<Word, T>&))
      : width(width_), multiply_panel(multiply_) {}
};

/// Operands without conversion; a transposed left operand is read in place.
template <class T>
struct PlainOperands : Operands<T, T> {
  using Word = T;
  using Base = Operands<T, T>;
  PlainOperands() : Base(kernel_table<T>().panel_width, kernel_table<T>().gemm_panel) {}

  /// x (count, k) as the left operand.
  Left<T> rows(const T* x, index_t stride, index_t, T*) const { return {x, stride, 1}; }
  /// x (k, count) as the left operand, transposed. For an odd k the row after the last may be
  /// overwritten.
  Left<T> columns(T* x, index_t stride, index_t, index_t, T*, T*) const { return {x, 1, stride}; }
  /// Words of memory that columns() needs: for the pairs of rows, and for the transposed words.
  static index_t pairs_size(index_t, index_t) { return 0; }
  [[nodiscard]] index_t transposed_size(index_t) const { return 0; }
  /// x (k, columns) as the right operand.
  void pack(const T* x, index_t stride, index_t k, index_t columns, T* right) const {
    const Panels all = this->panels(columns);
    for (index_t panel = 0; panel < all.count(); ++panel)
      this->real.pack_panel(x + all.begin(panel), stride, 1, k, all.size(panel),
                            right + panel * this->width * Base::depth(k));
  }
  /// x (count, k) as one panel (k, count) of a right operand. All of it is read in whole squares.
  void pack_transposed(const T* x, index_t stride, index_t k, index_t count, T*, T* panel) const {
    this->real.pack_panel(x, 1, stride, Base::depth(k), round_up(count, this->real.lanes), panel);
  }
  /// Scores to probabilities, times their sum, which is returned.
  T exp2_and_sum(index_t n, T* scores) const { return this->real.exp2_and_sum(n, scores); }
  Left<T> probabilities(const T* scores, index_t stride) const { return {scores, stride, 1}; }
};

/// f32 rounded to bf16. All strides are even.
struct Bf16Operands : Operands<std::uint32_t, float> {
  using Word = std::uint32_t;
  const NarrowTable& narrow = narrow_table();
  Bf16Operands() : Operands(narrow_table().panel_width, narrow_table().bf16_panel) {}

  Left<Word> rows(const float* x, index_t stride, index_t count, Word* converted) const {
    narrow.convert_row_to_bf16(count * stride, x, reinterpret_cast<std::uint16_t*>(converted));
    return {converted, stride / kPerWord, 1};
  }
  /// The transposed rows of a panel are a row-major operand, so k is at most two panels wide.
  Left<Word> columns(float* x, index_t stride, index_t k, index_t count, Word* pairs,
                     Word* transposed) const {
    if (k % kPerWord != 0) std::fill_n(x + k * stride, stride, 0.0f);
    for (index_t p = 0; p < words(k); ++p)
      narrow.interleave_rows_to_bf16(stride, x + kPerWord * p * stride,
                                     x + (kPerWord * p + 1) * stride, pairs + p * stride);
    narrow.pack_panel(pairs, 1, stride, round_up(count, kSquare), words(k), transposed);
    return {transposed, width, 1};
  }
  static index_t pairs_size(index_t k, index_t stride) { return words(k) * stride; }
  [[nodiscard]] index_t transposed_size(index_t count) const {
    return round_up(count, kSquare) * width;
  }
  void pack(const float* x, index_t stride, index_t k, index_t columns, Word* right) const {
    alignas(64) static constexpr float kZeros[64] = {};
    const Panels all = panels(columns);
    for (index_t panel = 0; panel < all.count(); ++panel, right += width * depth(k)) {
      const float* from = x + all.begin(panel);
      for (index_t p = 0; p < k; p += kPerWord) {
        const float* second = p + 1 < k ? from + (p + 1) * stride : kZeros;
        Word* words = right + p / kPerWord * width;
        narrow.interleave_rows_to_bf16(all.size(panel), from + p * stride, second, words);
        std::fill(words + all.size(panel), words + all.padded(panel), 0u);
      }
    }
  }
  void pack_transposed(const float* x, index_t stride, index_t k, index_t count, Word* converted,
                       Word* panel) const {
    const Left<Word> left = rows(x, stride, count, converted);
    narrow.pack_panel(left.data, 1, left.row_stride, depth(k), round_up(count, real.lanes), panel);
  }
  float exp2_and_sum(index_t n, float* scores) const {
    return narrow.exp2_and_sum_to_bf16(n, scores, reinterpret_cast<std::uint16_t*>(scores));
  }
  Left<Word> probabilities(const float* scores, index_t stride) const {
    return {reinterpret_cast<const Word*>(scores), stride, 1};
  }
};

/// Allocates from one block of memory, in whole cache lines.
class Scratch {
 public:
  /// Bytes between the memory of two threads. Without a gap two threads were 1.3 times slower where
  /// moving a line between cores takes 165 ns (3 % where it takes 25 ns): the second thread lost
  /// the time at the beginning of its memory, next to the end of the first thread's. A gap of a
  /// page removes half of the loss, one of 64 KiB all of it. Probably the processor prefetches at
  /// the stride of the stored tiles, 8.5 KiB for 256 tokens, and so takes lines that the next
  /// thread is writing.
  static constexpr index_t kGap = index_t{1} << 16;

  explicit Scratch(std::uint8_t* begin) : next_(begin) {}
  template <class Element>
  Element* take(index_t count) {
    std::uint8_t* here = next_;
    next_ += bytes<Element>(count);
    return reinterpret_cast<Element*>(here);
  }
  template <class Element>
  static index_t bytes(index_t count) {
    return round_up(count * static_cast<index_t>(sizeof(Element)), 64);
  }

 private:
  std::uint8_t* next_;
};

}  // namespace rae::detail
