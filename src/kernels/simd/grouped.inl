// The micro-kernel for weights that are integers in groups with a scale each (layout:
// kernels/grouped_product.hpp). Included inside an anonymous namespace, after gemm.inl, whose
// dispatch over rows and columns selects this micro-kernel by the type of its dot product.
//
// The left operand is 16-bit integers with one scale for each row. The weights become 16-bit
// integers too: in registers, on the way from memory (two shifts for two of them in each lane, one
// for those at the top of a word), or for many rows once for all of them (`widen_groups`, kBits =
// 16). Products and the sum of a group are exact (32 products of at most 2^15 * 2^7), so that all
// instruction sets and both ways give the same bits. At the end of a group its sum times the scale
// is added to the total; totals are kept in the level-1 cache when a tile has no registers for
// them:
//
//   sum[r]    = a[r][0] q[0] + ... + a[r][31] q[31]      integers
//   total[r] += sum[r] * scale                           both rounded
//   out[r]    = total[r] * scale of the row + bias
//
// The end of a group costs a conversion, a multiplication and an addition for every 16 products of
// pairs.

template <int kBits>
struct GroupDot {
  using Word = std::uint32_t;
  using Half = std::int16_t;
  static constexpr index_t kWordsPerGroup = kBits;  // of a group along k: 32 integers of kBits bits
  static constexpr int kPairs = 16 / kBits;         // in a word

  // Pair `pair` of the integers in a word, as 16-bit integers: neighbours along k for 4 bits; for 8
  // bits numbers 0 and 2, then 1 and 3.
  static Vector<Half> extract_pair(int pair, Vector<Word> word) {
    return (reinterpret_cast<Vector<Half>>(word) << (16 - kBits * (pair + 1))) >> (16 - kBits);
  }

  // The lowest bit of the first (`second` = 0) or second (1) of two neighbours along k.
  static constexpr int first_bit(int pair, int second) {
    return kBits == 4 ? 4 * pair + 16 * second : 16 * pair + 8 * second;
  }

  // The integer whose lowest bit is `first_bit`.
  static Vector<float> extract_integer(Vector<Word> word, int first_bit) {
    return __builtin_convertvector(
        reinterpret_cast<Vector<std::int32_t>>(word << (32 - kBits - first_bit)) >> (32 - kBits),
        Vector<float>);
  }
};

inline Vector<float> load_bf16(const std::uint16_t* p) {
  typedef std::uint16_t Half __attribute__((vector_size(kVectorBytes / 2)));
  Half bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return reinterpret_cast<Vector<float>>(__builtin_convertvector(bits, Vector<std::uint32_t>)
                                         << 16);
}

// k counts words of the panel. One vector of words keeps the processor busy for so long that the
// hardware prefetcher does not run far enough ahead.
template <class Dot, int kRows, int kVectors, class T>
requires IsGroupDot<Dot>
inline void micro_kernel(index_t k, const typename Dot::Word* __restrict a, index_t row, index_t,
                         const typename Dot::Word* __restrict panel, const OutputTile<T>& out,
                         Prefetcher prefetcher) {
  using Word = typename Dot::Word;
  constexpr index_t kLanesPerVector = VectorOf<Word>::lanes;
  constexpr index_t kWidth = kTileVectors * kLanesPerVector;
  const auto* scales = reinterpret_cast<const std::uint16_t*>(panel + k * kWidth);
  const index_t lines = (prefetcher.lines_per_chunk + prefetcher.steps_per_chunk - 1) /
                        prefetcher.steps_per_chunk;  // of a step
  Array<Array<Vector<float>, kVectors>, kRows> total = {};
  for (index_t p = 0; p < k; p += Dot::kWordsPerGroup) {
    Array<Array<Vector<std::int32_t>, kVectors>, kRows> sum = {};
    for (index_t w = 0; w < Dot::kWordsPerGroup; ++w) {
      Prefetcher::prefetch_lines<0>(prefetcher.next, lines);
      prefetcher.next += lines * Prefetcher::kLine;
      Array<Vector<Word>, kVectors> words;
      RAE_UNROLL
      for (int v = 0; v < kVectors; ++v)
        words[v] =
            *reinterpret_cast<const Vector<Word>*>(panel + (p + w) * kWidth + v * kLanesPerVector);
      RAE_UNROLL
      for (int pair = 0; pair < Dot::kPairs; ++pair) {
        Array<Vector<std::int16_t>, kVectors> b;
        RAE_UNROLL
        for (int v = 0; v < kVectors; ++v) b[v] = Dot::extract_pair(pair, words[v]);
        RAE_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const auto x = reinterpret_cast<Vector<std::int16_t>>(broadcast(a[r * row]));
          RAE_UNROLL
          for (int v = 0; v < kVectors; ++v) sum[r][v] = multiply_add_pairs(sum[r][v], x, b[v]);
        }
        ++a;
      }
    }
    RAE_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const Vector<float> scale = load_bf16(scales + v * kLanesPerVector);
      RAE_UNROLL
      for (int r = 0; r < kRows; ++r)
        total[r][v] += rounded(__builtin_convertvector(sum[r][v], Vector<float>) * scale);
    }
    scales += kWidth;
  }
  RAE_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const Vector<T> bias = load(out.bias + v * kLanesPerVector);
    RAE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      T* const place = out.data + r * out.stride + v * kLanesPerVector;
      Vector<T> number = rounded(total[r][v] * out.row_scale[r]) + bias;
      if (out.accumulate) number += load(place);
      store<T>(number, place);
    }
  }
}

// A panel of k words along k for GroupDot<16>: pairs of 16-bit integers in the order in which the
// micro-kernel for kBits would extract them, then the same scales.
template <int kBits>
[[maybe_unused]] void widen_groups(index_t k, const std::uint32_t* panel, std::uint32_t* out) {
  using Dot = GroupDot<kBits>;
  using Word = std::uint32_t;
  constexpr index_t kLanesPerVector = VectorOf<Word>::lanes,
                    kWidth = kTileVectors * kLanesPerVector;
  for (index_t p = 0; p < k; ++p)
    for (index_t v = 0; v < kWidth; v += kLanesPerVector) {
      const Vector<Word> word = load(panel + p * kWidth + v);
      RAE_UNROLL
      for (int pair = 0; pair < Dot::kPairs; ++pair)
        store<Word>(reinterpret_cast<Vector<Word>>(Dot::extract_pair(pair, word)),
                    out + (p * Dot::kPairs + pair) * kWidth + v);
    }
  const std::size_t scale_bytes =
      static_cast<std::size_t>(k / Dot::kWordsPerGroup * kWidth) * sizeof(std::uint16_t);
  __builtin_memcpy(out + k * Dot::kPairs * kWidth, panel + k * kWidth, scale_bytes);
}

// bf16 in the upper half of each lane, rounded to nearest even. No lane may be NaN.
inline Vector<std::uint32_t> rounded_to_bf16(Vector<float> x) {
  const auto bits = reinterpret_cast<Vector<std::uint32_t>>(x);
  return bits + 0x7fffu + ((bits >> 16) & 1u);
}

// A panel of k words along k as one of bf16 words: each integer times its scale.
template <int kBits>
[[maybe_unused]] void dequantize_groups(index_t k, const std::uint32_t* panel, std::uint32_t* out) {
  using Dot = GroupDot<kBits>;
  using Word = std::uint32_t;
  constexpr index_t kLanesPerVector = VectorOf<Word>::lanes,
                    kWidth = kTileVectors * kLanesPerVector;
  const auto* scales = reinterpret_cast<const std::uint16_t*>(panel + k * kWidth);
  for (index_t p = 0; p < k; ++p) {
    for (index_t v = 0; v < kWidth; v += kLanesPerVector) {
      const Vector<float> scale = load_bf16(scales + p / Dot::kWordsPerGroup * kWidth + v);
      const Vector<Word> word = load(panel + p * kWidth + v);
      RAE_UNROLL
      for (int pair = 0; pair < Dot::kPairs; ++pair) {
        const auto lower =
            rounded_to_bf16(Dot::extract_integer(word, Dot::first_bit(pair, 0)) * scale);
        const auto upper =
            rounded_to_bf16(Dot::extract_integer(word, Dot::first_bit(pair, 1)) * scale);
        store<Word>((upper & 0xffff0000u) | (lower >> 16),
                    out + (p * Dot::kPairs + pair) * kWidth + v);
      }
    }
  }
}
