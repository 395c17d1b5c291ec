#include "kernels/narrow_product.hpp"

#include <cstring>

#include "kernels/panel_loop.hpp"

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

/// Converts vector by vector: `convert(i, x, words)` reads a contiguous x (K) and writes whole words. The vectors are the rows of x.
template <class Convert>
void convert_rows(const View<const float>& x, index_t per_word, Word* out, index_t out_stride, Convert convert) {
  const index_t rows = x.extent(0), k = x.extent(1), words = ceil_div(k, per_word), gathered = x.stride(1) == 1 ? 0 : k;
  Tensor<float> memory(Shape{num_threads(), gathered});  // (threads, K)
  float* scratch = memory.data();
  parallel_ranges(rows, ceil_div(kSerialWork, std::max<index_t>(1, k)), [&](index_t begin, index_t end, index_t slot) {
    for (index_t i = begin; i < end; ++i) {
      Word* target = out + i * out_stride;
      if (words > 0) target[words - 1] = 0;  // what of the last word lies behind K
      convert(i, gather(x.data() + i * x.stride(0), x.stride(1), k, scratch + slot * gathered), target);
    }
  });
}

/// Converts the columns of b (K, N) to words and arranges them in panels.
template <class Convert>
Tensor<std::uint8_t> pack_columns(const View<const float>& b, index_t per_word, Convert convert) {
  const NarrowTable& table = narrow_table();
  const index_t k = b.extent(0), n = b.extent(1), width = table.panel_width, panels = ceil_div(n, width), words = ceil_div(k, per_word);
  Tensor<std::uint8_t> packed(Shape{panels, words, width, index_t{sizeof(Word)}});  // (panels, K / per word, width) of Word
  Word* target = reinterpret_cast<Word*>(packed.data());
  Tensor<std::int32_t> words_memory(Shape{num_threads(), width, words});  // (threads, width, K / per word)
  Tensor<float> column_memory(Shape{num_threads(), k});                   // (threads, K)
  Word* scratch = reinterpret_cast<Word*>(words_memory.data());
  float* columns = column_memory.data();
  parallel_ranges(panels, ceil_div(kSerialWork, std::max<index_t>(1, k * width)), [&](index_t begin, index_t end, index_t slot) {
    Word* converted = scratch + slot * width * words;
    for (index_t p = begin; p < end; ++p) {
      const index_t count = std::min(width, n - p * width);
      for (index_t j = 0; j < count; ++j) {
        const index_t column = p * width + j;
        if (words > 0) converted[j * words + words - 1] = 0;
        convert(column, gather(b.data() + column * b.stride(1), b.stride(0), k, columns + slot * k), converted + j * words);
      }
      table.pack_panel(converted, index_t{1}, words, words, count, target + p * words * width);
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
  return {.rows = out.extent(0),
          .k = a.k,
          .a = a.data,
          .row_stride = a.stride,
          .column_stride = 1,
          .panel = nullptr,
          .columns = out.extent(1),
          .out = out.data(),
          .out_stride = out.stride(0),
          .bias = epilogue.bias.data(),
          .activation = epilogue.activation,
          .accumulate = epilogue.accumulate};
}

void multiply_bf16(const Words& a, const std::uint8_t* panels, const View<float>& out, const Epilogue& epilogue) {
  const NarrowTable& table = narrow_table();
  const Word* words = reinterpret_cast<const Word*>(panels);
  const index_t size = a.k * table.panel_width;
  multiply_panels(product(a, out, epilogue), table.bf16_panel, table.panel_width, kDepth, true,
                  [=](index_t panel, index_t) { return words + panel * size; });
}

}  // namespace

Tensor<std::uint8_t> pack_bf16(const View<const float>& b) {
  const index_t k = b.extent(0);
  return pack_columns(b, kBf16PerWord, [convert = narrow_table().row_to_bf16, k](index_t, const float* column, Word* words) {
    convert(k, column, reinterpret_cast<std::uint16_t*>(words));
  });
}

Int8Panels pack_int8(const View<const float>& b) {
  const index_t k = b.extent(0), width = narrow_table().panel_width, padded = ceil_div(b.extent(1), width) * width;
  Int8Panels out{{}, Tensor<float>(Shape{padded}, 0.0f), Tensor<std::int32_t>(Shape{padded}, 0)};
  float* scales = out.scales.data();
  std::int32_t* compensation = out.compensation.data();
  out.panels = pack_columns(b, kInt8PerWord, [&](index_t column, const float* x, Word* words) {
    auto* bytes = reinterpret_cast<std::uint8_t*>(words);
    scales[column] = narrow_table().row_to_int8(k, x, 0, bytes);
    std::int32_t sum = 0;
    for (index_t i = 0; i < k; ++i) sum += static_cast<std::int8_t>(bytes[i]);
    compensation[column] = kUnsignedOffset * sum;
  });
  return out;
}

void multiply_bf16(const View<const float>& a, const std::uint8_t* panels, const View<float>& out, const Epilogue& epilogue) {
  const index_t m = a.extent(0), k = a.extent(1), words = ceil_div(k, kBf16PerWord), stride = row_words(words);
  Tensor<std::int32_t> memory(Shape{m, stride});  // (M, K / 2) of Word
  Word* converted = reinterpret_cast<Word*>(memory.data());
  convert_rows(a, kBf16PerWord, converted, stride, [convert = narrow_table().row_to_bf16, k](index_t, const float* row, Word* target) {
    convert(k, row, reinterpret_cast<std::uint16_t*>(target));
  });
  multiply_bf16(Words{converted, stride, words}, panels, out, epilogue);
}

void multiply_bf16(const View<const bf16>& a, const std::uint8_t* panels, const View<float>& out, const Epilogue& epilogue) {
  const index_t m = a.extent(0), k = a.extent(1), words = ceil_div(k, kBf16PerWord);
  const bool whole_words = a.stride(1) == 1 && k % kBf16PerWord == 0 && a.stride(0) % kBf16PerWord == 0 &&
                           reinterpret_cast<std::uintptr_t>(a.data()) % sizeof(Word) == 0;
  if (whole_words)
    return multiply_bf16(Words{reinterpret_cast<const Word*>(a.data()), a.stride(0) / kBf16PerWord, words}, panels, out, epilogue);
  const index_t stride = row_words(words);
  Tensor<std::int32_t> memory(Shape{m, stride}, 0);  // (M, K / 2) of Word
  auto* copied = reinterpret_cast<bf16*>(memory.data());
  for (index_t i = 0; i < m; ++i)
    for (index_t p = 0; p < k; ++p) copied[i * stride * kBf16PerWord + p] = a(i, p);
  multiply_bf16(Words{reinterpret_cast<const Word*>(copied), stride, words}, panels, out, epilogue);
}

void multiply_int8(const View<const float>& a, const std::uint8_t* panels, const float* scales, const std::int32_t* compensation,
                   const View<float>& out, const Epilogue& epilogue) {
  const NarrowTable& table = narrow_table();
  const index_t m = a.extent(0), k = a.extent(1), words = ceil_div(k, kInt8PerWord), stride = row_words(words);
  Tensor<std::int32_t> memory(Shape{m, stride});  // (M, K / 4) of Word
  Tensor<float> row_scales(Shape{m});             // (M)
  Word* converted = reinterpret_cast<Word*>(memory.data());
  float* scale = row_scales.data();
  convert_rows(a, kInt8PerWord, converted, stride, [&](index_t i, const float* row, Word* target) {
    scale[i] = table.row_to_int8(k, row, kUnsignedOffset, reinterpret_cast<std::uint8_t*>(target));
  });
  PanelProduct<Word, float> whole = product(Words{converted, stride, words}, out, epilogue);
  whole.row_scale = scale;
  whole.column_scale = scales;
  whole.compensation = compensation;
  const Word* packed = reinterpret_cast<const Word*>(panels);
  const index_t size = words * table.panel_width;
  // The integer sums stay in registers from the first word to the last.
  multiply_panels(whole, table.int8_panel, table.panel_width, std::max<index_t>(1, words), true,
                  [=](index_t panel, index_t) { return packed + panel * size; });
}

}  // namespace rae::detail
