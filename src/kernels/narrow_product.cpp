#include "kernels/narrow_product.hpp"

#include <algorithm>

#include "kernels/norm_rows.hpp"

namespace rae::detail {
namespace {

using Word = std::uint32_t;

constexpr index_t kBf16PerWord = 2;
constexpr index_t kInt8PerWord = 4;
constexpr std::int32_t kUnsignedOffset = 128;  // a quantised left operand is this much more than it means
constexpr index_t kWordsPerLine = 16;

// Words between two rows of a converted left operand: an odd number of cache lines, so that the rows of a tile do not all fall into the
// same sets of the level-1 cache.
index_t row_words(index_t words) { return (ceil_div(words, kWordsPerLine) | 1) * kWordsPerLine; }

// x where it is contiguous, else its elements gathered in `row`.
const float* gather(const float* x, index_t stride, index_t n, float* row) {
  if (stride == 1) return x;
  for (index_t i = 0; i < n; ++i) row[i] = x[i * stride];
  return row;
}

/// Converts row by row: `convert(i, x, words)` reads a contiguous x (K) and writes whole words.
template <class Convert>
void convert_rows(const LeftOperand& left, index_t per_word, Word* out, index_t out_stride, Convert convert) {
  const View<const float>& x = left.a;
  const index_t rows = x.extent(0), k = x.extent(1), words = ceil_div(k, per_word), copied = x.stride(1) == 1 && !left.norm ? 0 : k;
  const index_t group_rows = left.norm ? rows_per_group(rows, *left.norm) : 1;
  const auto normalize = kernel_table<float>().norm;
  Tensor<float> memory(Shape{num_threads(), copied});  // (threads, K)
  float* scratch = memory.data();
  parallel_ranges(rows, ceil_div(kSerialWork, std::max<index_t>(1, k)), [&](index_t begin, index_t end, index_t slot) {
    float* own = scratch + slot * copied;
    for (index_t i = begin; i < end; ++i) {
      Word* target = out + i * out_stride;
      if (words > 0) target[words - 1] = 0;  // what of the last word lies behind K
      const float* row = x.data() + i * x.stride(0);
      if (left.norm) {
        normalize(k, row, norm_row_inputs(*left.norm, i / group_rows), own);
        row = own;
      } else {
        row = gather(row, x.stride(1), k, own);
      }
      convert(i, row, target);
    }
  });
}

/// Converts the columns of b (K, N) to words and arranges them in panels. `convert(at, x, words)` reads the column x (K) at position `at`
/// of all panels.
template <class Convert>
Tensor<std::uint8_t> pack_columns(const View<const float>& b, const PanelMap& map, index_t per_word, Convert convert) {
  const NarrowTable& table = narrow_table();
  const index_t k = b.extent(0), width = map.width, panels = map.panels(), words = ceil_div(k, per_word);
  Tensor<std::uint8_t> packed(Shape{panels, words, width, index_t{sizeof(Word)}});  // (panels, K / per word, width) of Word
  Word* target = reinterpret_cast<Word*>(packed.data());
  Tensor<std::int32_t> words_memory(Shape{num_threads(), width, words});  // (threads, width, K / per word)
  Tensor<float> column_memory(Shape{num_threads(), k});                   // (threads, K)
  Word* scratch = reinterpret_cast<Word*>(words_memory.data());
  float* columns = column_memory.data();
  parallel_ranges(panels, ceil_div(kSerialWork, std::max<index_t>(1, k * width)), [&](index_t begin, index_t end, index_t slot) {
    for (index_t p = begin; p < end; ++p) {
      for (index_t j = 0; j < width; ++j) {
        const index_t column = map.column(p, j);
        Word* converted = scratch + (slot * width + j) * words;
        if (column < 0) {
          std::fill_n(converted, words, Word{0});
          continue;
        }
        if (words > 0) converted[words - 1] = 0;
        convert(p * width + j, gather(b.data() + column * b.stride(1), b.stride(0), k, columns + slot * k), converted);
      }
      table.pack_panel(scratch + slot * width * words, index_t{1}, words, words, width, target + p * words * width);
    }
  });
  return packed;
}

// A left operand as rows of words.
struct Words {
  const Word* data;
  index_t stride, k;  // of rows; along k
};

PanelProduct<Word, float> product(const Words& a, const View<float>& out, const Epilogue& epilogue) {
  PanelProduct<Word, float> whole = epilogue_of<Word>(out, epilogue);
  whole.k = a.k;
  whole.a = a.data;
  whole.row_stride = a.stride;
  return whole;
}

void multiply_bf16_words(const Words& a, const PackedMatrix<float>& b, const View<float>& out, const Epilogue& epilogue) {
  const NarrowTable& table = narrow_table();
  const Word* words = reinterpret_cast<const Word*>(b.bytes().data());
  const index_t size = a.k * table.panel_width;
  multiply_panels(product(a, out, epilogue), table.bf16_panel, table.panel_width, kDepth, true,
                  [=](index_t panel, index_t) { return words + panel * size; });
}

void multiply_bf16(const LeftOperand& a, const PackedMatrix<float>& b, const View<float>& out, const Epilogue& epilogue) {
  const index_t m = a.a.extent(0), k = a.a.extent(1), words = ceil_div(k, kBf16PerWord), stride = row_words(words);
  Tensor<std::int32_t> memory(Shape{m, stride});  // (M, K / 2) of Word
  Word* converted = reinterpret_cast<Word*>(memory.data());
  convert_rows(a, kBf16PerWord, converted, stride, [convert = narrow_table().row_to_bf16, k](index_t, const float* row, Word* target) {
    convert(k, row, reinterpret_cast<std::uint16_t*>(target));
  });
  multiply_bf16_words({converted, stride, words}, b, out, epilogue);
}

void multiply_int8(const LeftOperand& a, const PackedMatrix<float>& b, const View<float>& out, const Epilogue& epilogue) {
  const NarrowTable& table = narrow_table();
  const index_t m = a.a.extent(0), k = a.a.extent(1), words = ceil_div(k, kInt8PerWord), stride = row_words(words);
  Tensor<std::int32_t> memory(Shape{m, stride});  // (M, K / 4) of Word
  Tensor<float> row_scales(Shape{m});             // (M)
  Word* converted = reinterpret_cast<Word*>(memory.data());
  float* scale = row_scales.data();
  convert_rows(a, kInt8PerWord, converted, stride, [&](index_t i, const float* row, Word* target) {
    scale[i] = table.row_to_int8(k, row, kUnsignedOffset, reinterpret_cast<std::uint8_t*>(target));
  });
  PanelProduct<Word, float> whole = product({converted, stride, words}, out, epilogue);
  whole.row_scale = scale;
  whole.column_scale = b.scales().data();
  whole.compensation = b.compensation().data();
  const Word* packed = reinterpret_cast<const Word*>(b.bytes().data());
  const index_t size = words * table.panel_width;
  // The integer sums stay in registers from the first word to the last.
  multiply_panels(whole, table.int8_panel, table.panel_width, std::max<index_t>(1, words), true,
                  [=](index_t panel, index_t) { return packed + panel * size; });
}

}  // namespace

Tensor<std::uint8_t> pack_bf16(const View<const float>& b, const PanelMap& map) {
  const index_t k = b.extent(0);
  return pack_columns(b, map, kBf16PerWord, [convert = narrow_table().row_to_bf16, k](index_t, const float* column, Word* words) {
    convert(k, column, reinterpret_cast<std::uint16_t*>(words));
  });
}

Int8Panels pack_int8(const View<const float>& b, const PanelMap& map) {
  const index_t k = b.extent(0), padded = map.panels() * map.width;
  Int8Panels out{{}, Tensor<float>(Shape{padded}, 0.0f), Tensor<std::int32_t>(Shape{padded}, 0)};
  float* scales = out.scales.data();
  std::int32_t* compensation = out.compensation.data();
  out.panels = pack_columns(b, map, kInt8PerWord, [&](index_t at, const float* x, Word* words) {
    auto* bytes = reinterpret_cast<std::uint8_t*>(words);
    scales[at] = narrow_table().row_to_int8(k, x, 0, bytes);
    std::int32_t sum = 0;
    for (index_t i = 0; i < k; ++i) sum += static_cast<std::int8_t>(bytes[i]);
    compensation[at] = kUnsignedOffset * sum;
  });
  return out;
}

void multiply_narrow(const LeftOperand& a, const PackedMatrix<float>& b, const View<float>& out, const Epilogue& epilogue) {
  if (b.stored() == DType::bf16) return multiply_bf16(a, b, out, epilogue);
  multiply_int8(a, b, out, epilogue);
}

void multiply_bf16(const View<const bf16>& a, const PackedMatrix<float>& b, const View<float>& out, const Epilogue& epilogue) {
  const index_t m = a.extent(0), k = a.extent(1), words = ceil_div(k, kBf16PerWord);
  const bool whole_words = a.stride(1) == 1 && k % kBf16PerWord == 0 && a.stride(0) % kBf16PerWord == 0 &&
                           reinterpret_cast<std::uintptr_t>(a.data()) % sizeof(Word) == 0;
  if (whole_words)
    return multiply_bf16_words({reinterpret_cast<const Word*>(a.data()), a.stride(0) / kBf16PerWord, words}, b, out, epilogue);
  const index_t stride = row_words(words);
  Tensor<std::int32_t> memory(Shape{m, stride}, 0);  // (M, K / 2) of Word
  auto* copied = reinterpret_cast<bf16*>(memory.data());
  for (index_t i = 0; i < m; ++i)
    for (index_t p = 0; p < k; ++p) copied[i * stride * kBf16PerWord + p] = a(i, p);
  multiply_bf16_words({reinterpret_cast<const Word*>(copied), stride, words}, b, out, epilogue);
}

}  // namespace rae::detail
