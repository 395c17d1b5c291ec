#include "kernels/grouped_product.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/huge_pages.hpp"

namespace rae::detail {
namespace {

using Word = std::uint32_t;

// From this number of rows on, the integers of a panel are widened to 16 bits once for all rows
// instead of in registers for each tile of rows. A matter of speed alone: the bits are the same.
constexpr index_t kWidenedRows = 64;
constexpr index_t kWidenedBits = 16;

/// The layout of the panels of a type in memory.
struct GroupedLayout {
  index_t bits, groups, width;

  constexpr GroupedLayout(index_t bits_, index_t groups_, index_t panel_width)
      : bits(bits_), groups(groups_), width(panel_width) {}
  GroupedLayout(DType stored, index_t k, index_t panel_width)
      : GroupedLayout(bits_of_groups(stored), ceil_div(k, kGroupSize), panel_width) {}
  /// Along k: 32 integers of n bits fill n words.
  [[nodiscard]] index_t words() const { return groups * bits; }
  [[nodiscard]] index_t panel_words() const {
    constexpr index_t kWordsPerLine = 16;
    return words() * width + ceil_div(groups * width, 2 * kWordsPerLine) * kWordsPerLine;
  }
};

/// Packs the integers of a group into `bits` words, which are `width` apart.
void pack_group(const std::int32_t (&values)[kGroupSize], index_t bits, index_t width,
                Word* target) {
  const index_t per_word = kGroupSize / bits;
  const Word mask = (Word{1} << bits) - 1;
  for (index_t w = 0; w < bits; ++w) {
    Word word = 0;
    for (index_t i = 0; i < per_word; ++i) {
      const index_t shift = bits == 8 ? 8 * i : 16 * (i % 2) + 4 * (i / 2);
      word |= (static_cast<Word>(values[w * per_word + i]) & mask) << shift;
    }
    target[w * width] = word;
  }
}

}  // namespace

float quantize_group(const float* x, index_t stride, index_t n, index_t bits,
                     std::int32_t (&out)[kGroupSize]) {
  constexpr float kNegligible = 1e-30f,
                  kRounder = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  float values[kGroupSize] = {}, largest = 0;
  bool finite = true;
  for (index_t i = 0; i < n; ++i) {
    values[i] = x[i * stride];
    finite = finite && (std::bit_cast<std::uint32_t>(values[i]) & 0x7f800000u) != 0x7f800000u;
    if (std::abs(values[i]) > std::abs(largest)) largest = values[i];
  }
  std::fill_n(out, kGroupSize, 0);
  if (!finite) return std::numeric_limits<float>::quiet_NaN();
  if (std::abs(largest) < kNegligible) return 0;
  const auto limit = static_cast<float>(1 << (bits - 1));
  const auto unit = static_cast<float>(bf16(largest / -limit));
  for (index_t i = 0; i < kGroupSize; ++i) {
    const float whole = (values[i] / unit + kRounder) - kRounder;
    out[i] = static_cast<std::int32_t>(std::clamp(whole, -limit, limit - 1));
  }
  return unit;
}

index_t grouped_panel_bytes(DType stored, index_t k, index_t width) {
  return GroupedLayout(stored, k, width).panel_words() * static_cast<index_t>(sizeof(Word));
}

bool grouped_scales_are_finite(std::span<const std::byte> bytes, DType stored, index_t k,
                               index_t panels) {
  constexpr std::uint16_t kExponent = 0x7f80;
  const GroupedLayout layout(stored, k, narrow_table().panel_width);
  const index_t size = layout.panel_words() * static_cast<index_t>(sizeof(Word));
  const std::byte* first =
      bytes.data() + layout.words() * layout.width * static_cast<index_t>(sizeof(Word));
  for (index_t p = 0; p < panels; ++p)
    for (index_t i = 0; i < layout.groups * layout.width; ++i) {
      std::uint16_t scale;
      std::memcpy(&scale, first + p * size + i * static_cast<index_t>(sizeof scale), sizeof scale);
      if ((scale & kExponent) == kExponent) return false;
    }
  return true;
}

Tensor<std::uint8_t> pack_grouped(const View<const float>& b, const PanelMap& map, DType stored) {
  const index_t k = b.extent(0), width = map.width, panels = map.panels();
  const GroupedLayout layout(stored, k, width);
  const index_t size = layout.panel_words(), bytes = size * static_cast<index_t>(sizeof(Word));
  Tensor<std::uint8_t> packed(Shape{panels, bytes});  // (panels, bytes)
  prefer_huge_pages(packed.span());
  Word* target = reinterpret_cast<Word*>(packed.data());
  parallel_ranges(
      panels, ceil_div(kMinParallelWork, std::max<index_t>(1, k * width)),
      [&](index_t begin, index_t end) {
        for (index_t p = begin; p < end; ++p) {
          Word* words = target + p * size;
          std::fill_n(words, size, Word{0});
          auto* scales = reinterpret_cast<std::uint16_t*>(words + layout.words() * width);
          for (index_t j = 0; j < width; ++j) {
            const index_t column = map.column(p, j);
            for (index_t g = 0; column >= 0 && g < layout.groups; ++g) {
              std::int32_t values[kGroupSize];
              const float* first = b.data() + column * b.stride(1) + g * kGroupSize * b.stride(0);
              scales[g * width + j] =
                  bf16(quantize_group(first, b.stride(0), std::min(kGroupSize, k - g * kGroupSize),
                                      layout.bits, values))
                      .bits;
              pack_group(values, layout.bits, width, words + g * layout.bits * width + j);
            }
          }
        }
      });
  return packed;
}

namespace {

/// Dequantized to bf16, for instruction sets whose products of bf16 are much faster than those of
/// 16-bit integers. There, products of any number of rows are computed this way, so that a row of
/// out does not depend on the number of rows.
void multiply_groups_as_bf16(const LeftOperand& a, const GroupedTable& grouped,
                             const GroupedLayout& layout, const Word* packed,
                             PanelProduct<Word, float> whole) {
  const NarrowTable& table = narrow_table();
  Tensor<std::int32_t> memory;  // (M, K / 2) of Word
  const LeftWords left = convert_rows_to_bf16(a, kGroupSize, memory);
  whole.k = layout.groups * kGroupSize / 2;
  whole.a = left.data;
  whole.row_stride = left.stride;
  multiply_panels(whole, table.bf16_panel, layout.width, kKBlock, false, whole.k * layout.width,
                  [&](index_t panel, Word* scratch) {
                    grouped.dequantize(layout.words(), packed + panel * layout.panel_words(),
                                       scratch);
                    return scratch;
                  });
}

}  // namespace

void multiply_grouped(const LeftOperand& a, const PackedMatrix<float>& b, const View<float>& out,
                      const Epilogue& epilogue) {
  const NarrowTable& table = narrow_table();
  const GroupedTable& grouped = b.stored() == DType::int4 ? table.int4_groups : table.int8_groups;
  const index_t width = table.panel_width;
  const GroupedLayout layout(b.stored(), b.k(), width);
  PanelProduct<Word, float> whole = epilogue_of<Word>(out, epilogue);
  const Word* const packed = reinterpret_cast<const Word*>(b.bytes().data());
  if (table.multiplies_groups_as_bf16)
    return multiply_groups_as_bf16(a, grouped, layout, packed, whole);
  const Int16Rows left = quantize_rows_to_int16(a, kGroupSize, layout.bits == 8);
  whole.a = reinterpret_cast<const Word*>(left.words.data());
  whole.row_stride = left.words.extent(1);
  whole.row_scale = left.scales.data();
  const index_t size = layout.panel_words();
  if (whole.rows < kWidenedRows) {
    whole.k = layout.words();
    return multiply_panels(whole, grouped.panel, width, std::max<index_t>(1, whole.k), true, 0,
                           [=](index_t panel, Word*) { return packed + panel * size; });
  }
  const GroupedLayout widened(kWidenedBits, layout.groups, width);
  whole.k = widened.words();
  multiply_panels(whole, table.int16_groups_panel, width, std::max<index_t>(1, whole.k), false,
                  widened.panel_words(), [&](index_t panel, Word* scratch) {
                    grouped.widen(layout.words(), packed + panel * size, scratch);
                    return scratch;
                  });
}

}  // namespace rae::detail
