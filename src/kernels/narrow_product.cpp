#include "kernels/narrow_product.hpp"

#include <algorithm>

#include "kernels/grouped_product.hpp"
#include "kernels/huge_pages.hpp"
#include "kernels/norm_rows.hpp"
#include "kernels/transposed_product.hpp"

namespace rae::detail {
namespace {

using Word = std::uint32_t;

constexpr index_t kBf16PerWord = 2;
constexpr index_t kInt8PerWord = 4, kInt8WordsPerStart = 4;
constexpr std::int32_t kCompensated =
    128;  // compensation is this many times the sum of a column, on every instruction set

// x where it is contiguous, else its elements gathered in `row`.
const float* gather(const float* x, index_t stride, index_t n, float* row) {
  if (stride == 1) return x;
  for (index_t i = 0; i < n; ++i) row[i] = x[i * stride];
  return row;
}

/// Converts row by row: `convert(i, x, words)` reads a contiguous x (K) and writes whole words.
template <class Convert>
void convert_rows(const LeftOperand& left, index_t per_word, Word* out, index_t out_stride,
                  Convert convert) {
  const View<const float>& x = left.a;  // (M, K)
  const index_t rows = x.extent(0), k = x.extent(1), words = ceil_div(k, per_word),
                copied = x.stride(1) == 1 && !left.norm ? 0 : k;
  const index_t group_rows = left.norm ? rows_per_group(rows, *left.norm) : 1;
  const auto normalize = kernel_table<float>().norm;
  const ParallelLoop loop(rows, ceil_div(kMinParallelWork, std::max<index_t>(1, k)));
  Tensor<float> memory(Shape{loop.slots(), copied});  // (slots, K)
  float* scratch = memory.data();
  loop.run([&](index_t begin, index_t end, index_t slot) {
    float* own = scratch + slot * copied;
    for (index_t i = begin; i < end; ++i) {
      Word* target = out + i * out_stride;
      if (words > 0) target[words - 1] = 0;  // zero the padding of the last word
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

/// Scratch memory for packing one panel of a matrix of k rows.
struct PackingScratch {
  PackingScratch(Word* memory, const PanelMap& map, index_t k, index_t per_word)
      : words(memory),
        column(reinterpret_cast<float*>(memory + map.width * ceil_div(k, per_word))) {}

  /// Words that `memory` must have.
  static index_t size(const PanelMap& map, index_t k, index_t per_word) {
    static_assert(sizeof(float) == sizeof(Word));
    return map.width * ceil_div(k, per_word) + k;
  }

  Word* words;    // (width, K / per word)
  float* column;  // (K)
};

/// Converts the columns of a panel of b (K, N) to words and arranges them. `convert(at, x, words)`
/// reads the column x (K) at position `at` of all panels.
template <class Convert>
void pack_columns(const View<const float>& b, const PanelMap& map, index_t panel, index_t per_word,
                  const PackingScratch& scratch, Word* target, Convert convert) {
  const index_t k = b.extent(0), width = map.width, words = ceil_div(k, per_word);
  for (index_t j = 0; j < width; ++j) {
    const index_t column = map.column(panel, j);
    Word* converted = scratch.words + j * words;
    if (column < 0) {
      std::fill_n(converted, words, Word{0});
      continue;
    }
    if (words > 0) converted[words - 1] = 0;
    convert(panel * width + j,
            gather(b.data() + column * b.stride(1), b.stride(0), k, scratch.column), converted);
  }
  narrow_table().pack_panel(scratch.words, index_t{1}, words, words, width, target);
}

/// Packs the rows of x (K, N) from column `first` on, two rows to a word: (K / 2, stride), padded
/// with zeros after the columns and after an odd last row.
void pack_row_pairs(const View<const float>& x, index_t first, index_t columns, index_t stride,
                    Word* target) {
  constexpr index_t kMost = 128;
  static_assert(kRowsPerTask <= kMost);
  static constexpr float kZeros[kMost] = {};
  const auto pair = narrow_table().interleave_rows_to_bf16;
  const index_t k = x.extent(0);
  for (index_t p = 0; p < k; p += kBf16PerWord, target += stride) {
    const float* row = x.data() + p * x.stride(0) + first;
    pair(columns, row, p + 1 < k ? row + x.stride(0) : kZeros, target);
    std::fill(target + columns, target + stride, Word{0});
  }
}

void pack_bf16_panel(const View<const float>& b, const PanelMap& map, index_t panel,
                     const PackingScratch& scratch, Word* target) {
  if (map.columns == PanelColumns::neighbours && b.stride(1) == 1) {
    const index_t first = panel * map.width;
    return pack_row_pairs(b, first, std::min(map.width, map.n - first), map.width, target);
  }
  const index_t k = b.extent(0);
  pack_columns(
      b, map, panel, kBf16PerWord, scratch, target,
      [convert = narrow_table().convert_row_to_bf16, k](index_t, const float* column, Word* words) {
        convert(k, column, reinterpret_cast<std::uint16_t*>(words));
      });
}

/// All panels of b, each by `pack_one(panel, scratch, target)`.
template <class PackOne>
Tensor<std::uint8_t> pack_all(const View<const float>& b, const PanelMap& map, index_t per_word,
                              PackOne pack_one) {
  const index_t k = b.extent(0), width = map.width, panels = map.panels(),
                words = ceil_div(k, per_word);
  Tensor<std::uint8_t> packed(
      Shape{panels, words, width, index_t{sizeof(Word)}});  // (panels, K / per word, width) of Word
  prefer_huge_pages(packed.span());
  Word* target = reinterpret_cast<Word*>(packed.data());
  const ParallelLoop loop(panels, ceil_div(kMinParallelWork, std::max<index_t>(1, k * width)));
  const SlotMemory<Word> memory(loop, PackingScratch::size(map, k, per_word));
  loop.run([&](index_t begin, index_t end, index_t slot) {
    const PackingScratch scratch(memory.of(slot), map, k, per_word);
    for (index_t p = begin; p < end; ++p) pack_one(p, scratch, target + p * words * width);
  });
  return packed;
}

PanelProduct<Word, float> product(const LeftWords& a, const View<float>& out,
                                  const Epilogue& epilogue) {
  PanelProduct<Word, float> whole = epilogue_of<Word>(out, epilogue);
  whole.k = a.k;
  whole.a = a.data;
  whole.row_stride = a.stride;
  return whole;
}

/// `a`: rows of f32 as NarrowTable::bf16_as_f32 describes them, with k in numbers.
void multiply_bf16_as_f32(const LeftWords& a, const PackedMatrix<float>& b, const View<float>& out,
                          const Epilogue& epilogue) {
  const NarrowTable& table = narrow_table();
  const Word* packed = reinterpret_cast<const Word*>(b.bytes().data());
  PanelProduct<Word, float> whole = product(a, out, epilogue);
  whole.k = a.k / kBf16PerWord;
  whole.column_stride = kBf16PerWord;
  const index_t size = whole.k * table.panel_width;
  multiply_panels(
      whole, table.bf16_as_f32.panel, table.panel_width, kKBlock, out.extent(0) > kMemoryBoundRows,
      0, [=](index_t panel, Word*) { return packed + panel * size; }, rows_in_cache<float>(a.k));
}

void multiply_bf16_words(const LeftWords& a, const PackedMatrix<float>& b, const View<float>& out,
                         const Epilogue& epilogue) {
  const NarrowTable& table = narrow_table();
  if (const auto widen = table.bf16_as_f32.widen_row) {
    const index_t m = out.extent(0), k = kBf16PerWord * a.k, stride = padded_row_words(k);
    Tensor<std::int32_t> memory(Shape{m, stride});  // (M, K) of f32
    Word* rows = reinterpret_cast<Word*>(memory.data());
    parallel_for(m, ceil_div(kMinParallelWork, std::max<index_t>(1, k)),
                 [&](index_t i) { widen(a.k, a.data + i * a.stride, rows + i * stride); });
    return multiply_bf16_as_f32({rows, stride, k}, b, out, epilogue);
  }
  const Word* words = reinterpret_cast<const Word*>(b.bytes().data());
  const index_t size = a.k * table.panel_width;
  multiply_panels(product(a, out, epilogue), table.bf16_panel, table.panel_width, kKBlock,
                  out.extent(0) > kMemoryBoundRows, 0,
                  [=](index_t panel, Word*) { return words + panel * size; });
}

void multiply_bf16(const LeftOperand& a, const PackedMatrix<float>& b, const View<float>& out,
                   const Epilogue& epilogue) {
  if (const auto round = narrow_table().bf16_as_f32.round_row) {
    const index_t m = a.a.extent(0), k = a.a.extent(1),
                  padded = ceil_div(k, kBf16PerWord) * kBf16PerWord,
                  stride = padded_row_words(padded);
    Tensor<std::int32_t> memory(Shape{m, stride});  // (M, K) of f32
    Word* rows = reinterpret_cast<Word*>(memory.data());
    convert_rows(a, 1, rows, stride, [=](index_t, const float* row, Word* target) {
      round(k, row, reinterpret_cast<float*>(target));
    });
    return multiply_bf16_as_f32({rows, stride, padded}, b, out, epilogue);
  }
  Tensor<std::int32_t> memory;  // (M, K / 2) of Word
  multiply_bf16_words(convert_rows_to_bf16(a, kBf16PerWord, memory), b, out, epilogue);
}

}  // namespace

LeftWords convert_rows_to_bf16(const LeftOperand& a, index_t multiple,
                               Tensor<std::int32_t>& memory) {
  const index_t m = a.a.extent(0), k = a.a.extent(1), words = ceil_div(k, kBf16PerWord);
  const index_t padded = ceil_div(k, multiple) * multiple / kBf16PerWord,
                stride = padded_row_words(padded);
  memory = Tensor<std::int32_t>(Shape{m, stride});  // (M, K / 2) of Word
  Word* converted = reinterpret_cast<Word*>(memory.data());
  convert_rows(
      a, kBf16PerWord, converted, stride,
      [=, convert = narrow_table().convert_row_to_bf16](index_t, const float* row, Word* target) {
        convert(k, row, reinterpret_cast<std::uint16_t*>(target));
        std::fill(target + words, target + padded, Word{0});
      });
  return {converted, stride, words};
}

Tensor<std::uint8_t> pack_bf16(const View<const float>& b, const PanelMap& map) {
  return pack_all(b, map, kBf16PerWord,
                  [&](index_t panel, const PackingScratch& scratch, Word* target) {
                    pack_bf16_panel(b, map, panel, scratch, target);
                  });
}

Int8Panels pack_int8(const View<const float>& b, const PanelMap& map) {
  const index_t k = b.extent(0), padded = map.panels() * map.width;
  Int8Panels out{{}, Tensor<float>(Shape{padded}, 0.0f), Tensor<std::int32_t>(Shape{padded}, 0)};
  const NarrowTable& table = narrow_table();
  float* scales = out.scales.data();
  std::int32_t* compensation = out.compensation.data();
  const auto convert = [&](index_t at, const float* x, Word* words) {
    auto* bytes = reinterpret_cast<std::uint8_t*>(words);
    scales[at] = table.quantize_row_to_int8(k, x, table.int8_range.right, 0, bytes);
    std::int32_t sum = 0;
    for (index_t i = 0; i < k; ++i) sum += static_cast<std::int8_t>(bytes[i]);
    compensation[at] = kCompensated * sum;
  };
  out.panels = pack_all(b, map, kInt8PerWord,
                        [&](index_t panel, const PackingScratch& scratch, Word* target) {
                          pack_columns(b, map, panel, kInt8PerWord, scratch, target, convert);
                        });
  return out;
}

std::int32_t largest_int8(std::span<const std::uint8_t> bytes) {
  std::int32_t most = 0;
  for (const std::uint8_t byte : bytes)
    most = std::max(most, std::abs(std::int32_t{static_cast<std::int8_t>(byte)}));
  return most;
}

void halve_int8(Int8Panels& panels) {
  const index_t padded = panels.scales.numel(), width = narrow_table().panel_width,
                size = padded > 0 ? panels.panels.numel() / (padded / width) : 0;
  std::uint8_t* bytes = panels.panels.data();
  float* scales = panels.scales.data();
  std::int32_t* compensation = panels.compensation.data();
  for (index_t column = 0; column < padded; ++column) {
    scales[column] *= 2;
    std::int32_t sum = 0;
    for (index_t at = column / width * size + column % width * kInt8PerWord;
         at < (column / width + 1) * size; at += width * kInt8PerWord)
      for (index_t i = at; i < at + kInt8PerWord; ++i) {
        const std::int32_t number = static_cast<std::int8_t>(bytes[i]);
        const std::int32_t half = (number + (number >> 1 & 1)) >> 1;  // to nearest even
        bytes[i] = static_cast<std::uint8_t>(half);
        sum += half;
      }
    compensation[column] = kCompensated * sum;
  }
}

Int8Rows quantize_rows(const LeftOperand& a) {
  const index_t m = a.a.extent(0), k = a.a.extent(1),
                stride = padded_row_words(ceil_div(k, kInt8PerWord));
  Int8Rows out{Tensor<std::int32_t>(Shape{m, stride}), Tensor<float>(Shape{m})};
  float* scale = out.scales.data();
  convert_rows(a, kInt8PerWord, reinterpret_cast<Word*>(out.words.data()), stride,
               [&table = narrow_table(), scale, k](index_t i, const float* row, Word* target) {
                 scale[i] = table.quantize_row_to_int8(k, row, table.int8_range.left,
                                                       table.int8_range.offset,
                                                       reinterpret_cast<std::uint8_t*>(target));
               });
  return out;
}

Int16Rows quantize_rows_to_int16(const LeftOperand& a, index_t multiple, bool deinterleaved) {
  constexpr index_t kPerWord = 2;
  const index_t m = a.a.extent(0), k = a.a.extent(1), words = ceil_div(k, kPerWord);
  const index_t padded = ceil_div(k, multiple) * multiple / kPerWord,
                stride = padded_row_words(padded);
  Int16Rows out{Tensor<std::int32_t>(Shape{m, stride}), Tensor<float>(Shape{m})};
  float* scale = out.scales.data();
  convert_rows(a, kPerWord, reinterpret_cast<Word*>(out.words.data()), stride,
               [=, convert = narrow_table().quantize_row_to_int16](index_t i, const float* row,
                                                                   Word* target) {
                 scale[i] = convert(k, row, reinterpret_cast<std::int16_t*>(target));
                 std::fill(target + words, target + padded, Word{0});
                 for (index_t w = 0; deinterleaved && w < padded; w += 2) {
                   const Word first = target[w], second = target[w + 1];
                   target[w] = (first & 0xffffu) | (second << 16);
                   target[w + 1] = (first >> 16) | (second & 0xffff0000u);
                 }
               });
  return out;
}

void multiply_int8(const Int8Rows& a, const PackedMatrix<float>& b, const View<float>& out,
                   const Epilogue& epilogue) {
  const NarrowTable& table = narrow_table();
  if (b.highest() > table.int8_range.right)
    raise<ArgumentError>("gemm: the matrix was packed as int8 up to ", b.highest(),
                         ", but the kernels of ", name_of(active_isa()),
                         " multiply integers up to ", table.int8_range.right,
                         "; pack it again after set_isa");
  const index_t words = ceil_div(b.k(), kInt8PerWord);
  PanelProduct<Word, float> whole = product(
      {reinterpret_cast<const Word*>(a.words.data()), a.words.extent(1), words}, out, epilogue);
  whole.row_scale = a.scales.data();
  whole.column_scale = b.scales().data();
  whole.compensation = b.compensation().data();
  const Word* packed = reinterpret_cast<const Word*>(b.bytes().data());
  const index_t size = words * table.panel_width;
  const auto starts = table.int8_starts;
  // The integer sums are complete before they become f32.
  multiply_panels(whole, table.int8_panel, table.panel_width, std::max<index_t>(1, words),
                  out.extent(0) > kMemoryBoundRows,
                  starts ? ceil_div(words, kInt8WordsPerStart) * table.panel_width : 0,
                  [=](index_t panel, Word* scratch) {
                    if (starts) starts(words, packed + panel * size, scratch);
                    return packed + panel * size;
                  });
}

void multiply_narrow(const LeftOperand& a, const PackedMatrix<float>& b, const View<float>& out,
                     const Epilogue& epilogue) {
  if (b.stored() == DType::bf16) return multiply_bf16(a, b, out, epilogue);
  if (has_groups(b.stored())) return multiply_grouped(a, b, out, epilogue);
  multiply_int8(quantize_rows(a), b, out, epilogue);
}

void multiply_bf16(const View<const bf16>& a, const PackedMatrix<float>& b, const View<float>& out,
                   const Epilogue& epilogue) {
  const index_t m = a.extent(0), k = a.extent(1), words = ceil_div(k, kBf16PerWord);
  const bool whole_words = a.stride(1) == 1 && k % kBf16PerWord == 0 &&
                           a.stride(0) % kBf16PerWord == 0 &&
                           reinterpret_cast<std::uintptr_t>(a.data()) % sizeof(Word) == 0;
  if (whole_words)
    return multiply_bf16_words(
        {reinterpret_cast<const Word*>(a.data()), a.stride(0) / kBf16PerWord, words}, b, out,
        epilogue);
  const index_t stride = padded_row_words(words);
  Tensor<std::int32_t> memory(Shape{m, stride}, 0);  // (M, K / 2) of Word
  auto* copied = reinterpret_cast<bf16*>(memory.data());
  for (index_t i = 0; i < m; ++i)
    for (index_t p = 0; p < k; ++p) copied[i * stride * kBf16PerWord + p] = a(i, p);
  multiply_bf16_words({reinterpret_cast<const Word*>(copied), stride, words}, b, out, epilogue);
}

void multiply_as_bf16(const View<const float>& a, const View<const float>& b,
                      const View<float>& out, const Epilogue& epilogue) {
  const NarrowTable& table = narrow_table();
  const bool halves = epilogue.activation == Activation::swiglu;
  const PanelMap map{halves ? PanelColumns::halves : PanelColumns::neighbours, b.extent(1),
                     table.panel_width};
  const index_t words = ceil_div(a.extent(1), kBf16PerWord);
  if (a.stride(0) == 1 && a.stride(1) > 1 && !halves) {
    const index_t depth = kBf16PerWord * std::min(words, kTransposedKBlock);
    const View<const float> left = a.transposed();  // (K, M)
    const auto block = [](const View<const float>& x, index_t word, index_t count) {
      return x.slice(0, kBf16PerWord * word,
                     std::min(kBf16PerWord * count, x.extent(0) - kBf16PerWord * word));
    };
    const auto pack_left = [&](index_t first, index_t rows, index_t word, index_t count,
                               Word* target) {
      pack_row_pairs(block(left, word, count), first, rows, rows, target);
    };
    const auto pack_right = [&](index_t panel, index_t word, index_t count, Word* scratch,
                                Word* target) {
      pack_bf16_panel(block(b, word, count), map, panel, {scratch, map, depth, kBf16PerWord},
                      target);
    };
    return multiply_transposed(product({nullptr, 0, words}, out, epilogue), table.bf16_panel,
                               map.width, pack_left, PackingScratch::size(map, depth, kBf16PerWord),
                               pack_right);
  }
  Tensor<std::int32_t> converted;  // (M, K / 2) of Word
  const LeftWords left = convert_rows_to_bf16({a, nullptr}, kBf16PerWord, converted);
  const index_t k = a.extent(1), size = words * map.width;
  multiply_panels(product(left, out, epilogue), table.bf16_panel, map.width, kKBlock, false,
                  size + PackingScratch::size(map, k, kBf16PerWord),
                  [&](index_t panel, Word* scratch) {
                    pack_bf16_panel(b, map, panel, {scratch + size, map, k, kBf16PerWord}, scratch);
                    return scratch;
                  });
}

}  // namespace rae::detail
