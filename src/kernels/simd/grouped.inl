// The GEMM tile of weights that are integers in groups with a scale each (layout: kernels/grouped_product.hpp). Included inside an
// anonymous namespace, behind gemm.inl, whose loops over rows and columns find this tile by the type of its product.
//
// The integers are exact in bf16, so that they are multiplied as such, without their scale, and become bf16 in registers, on the way from
// memory: of 4 bits by a shift and a look into a table of 16 numbers (vpermw), for two of them in each lane. The sums of a group begin at
// zero; at its end they are rounded, times the scale, into the totals, which lie in the level-1 cache meanwhile when a tile has
// no registers for them:
//
//   sum[r]    = a[r][0] q[0] + ... + a[r][31] q[31]      as products of bf16 are summed: 1, 0, 3, 2, ...
//   total[r] += sum[r] * scale                           both rounded, the same on every instruction set
//
// That is one multiplication and one addition for 16 products of pairs. Against weights that are bf16 in memory, a step of two k takes two
// instructions more for each vector of columns, however many rows there are; they go to other ports than the products.

template <int kBits>
struct GroupDot {
  using Word = std::uint32_t;
  using Sum = float;
  static constexpr index_t kWords = kBits;  // of a group along k: 32 numbers of so many bits
  static constexpr int kPairs = 16 / kBits;

  // Pair `pair` of the numbers in a word of the panel, as Bf16Dot takes them.
#if defined(RAE_NATIVE_BF16)
  static Vector<Word> part_of_b(int pair, int, Vector<Word> word) {
    if constexpr (kBits == 4) {
      // The lowest five bits of a lane choose; the fifth is of the next number.
      alignas(64) static constexpr std::uint16_t kNumbers[32] = {
          0x0000, 0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0, 0x40e0, 0xc100, 0xc0e0, 0xc0c0, 0xc0a0, 0xc080, 0xc040, 0xc000, 0xbf80,
          0x0000, 0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0, 0x40e0, 0xc100, 0xc0e0, 0xc0c0, 0xc0a0, 0xc080, 0xc040, 0xc000, 0xbf80};
      return reinterpret_cast<Vector<Word>>(
          _mm512_permutexvar_epi16(reinterpret_cast<__m512i>(word >> (4 * pair)), _mm512_load_si512(kNumbers)));
    } else {
      // Eight bits of mantissa hold them, so that the lower half of the f32 is zero.
      const auto upper = reinterpret_cast<Vector<Word>>(number(word, shift(pair, 1)));
      return upper | reinterpret_cast<Vector<Word>>(number(word, shift(pair, 0))) >> 16;
    }
  }
#else
  static Vector<float> part_of_b(int pair, int part, Vector<Word> word) { return number(word, shift(pair, part == 0 ? 1 : 0)); }
#endif

  // Where the first (0) or second (1) number of a pair begins.
  static constexpr int shift(int pair, int second) { return kBits == 4 ? 4 * pair + 16 * second : 16 * pair + 8 * second; }

  // The number from bit `shift` on.
  static Vector<float> number(Vector<Word> word, int shift) {
    return __builtin_convertvector(reinterpret_cast<Vector<std::int32_t>>(word << (32 - kBits - shift)) >> (32 - kBits), Vector<float>);
  }
};

inline Vector<float> load_bf16(const std::uint16_t* p) {
  typedef std::uint16_t Half __attribute__((vector_size(kVectorBytes / 2)));
  Half bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return reinterpret_cast<Vector<float>>(__builtin_convertvector(bits, Vector<std::uint32_t>) << 16);
}

// k counts words of the panel. A vector of words is work for so long that the hardware alone does not fetch far enough ahead.
template <class Dot, int kRows, int kVectors, class T>
requires IsGroupDot<Dot>
inline void tile(index_t k, const typename Dot::Word* __restrict a, index_t row, index_t, const typename Dot::Word* __restrict panel,
                 const TileOut<T>& out, Ahead ahead) {
  using Word = typename Dot::Word;
  constexpr index_t kLanesPerVector = VectorOf<Word>::lanes;
  constexpr index_t kWidth = kTileVectors * kLanesPerVector;
  T* const target = out.data;
  const auto* scales = reinterpret_cast<const std::uint16_t*>(panel + k * kWidth);
  const index_t lines = (ahead.lines + ahead.steps - 1) / ahead.steps;  // of a step
  Vector<float> total[kRows][kVectors] = {};
  if (out.resume) {
    RAE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      RAE_UNROLL
      for (int v = 0; v < kVectors; ++v) total[r][v] = load(target + r * out.stride + v * kLanesPerVector);
    }
  }
  for (index_t p = 0; p < k; p += Dot::kWords) {
    Vector<float> sum[kRows][kVectors] = {};
    for (index_t w = 0; w < Dot::kWords; ++w) {
      Ahead::fetch<0>(ahead.next, lines);
      ahead.next += lines * Ahead::kLine;
      Vector<Word> words[kVectors];
      RAE_UNROLL
      for (int v = 0; v < kVectors; ++v) words[v] = *reinterpret_cast<const Vector<Word>*>(panel + (p + w) * kWidth + v * kLanesPerVector);
      RAE_UNROLL
      for (int pair = 0; pair < Dot::kPairs; ++pair) {
        RAE_UNROLL
        for (int part = 0; part < Bf16Dot::kParts; ++part) {
          decltype(Dot::part_of_b(0, 0, Vector<Word>{})) b[kVectors];
          RAE_UNROLL
          for (int v = 0; v < kVectors; ++v) b[v] = Dot::part_of_b(pair, part, words[v]);
          RAE_UNROLL
          for (int r = 0; r < kRows; ++r) {
            const auto x = Bf16Dot::part_of_a(part, broadcast(a[r * row + pair]));
            RAE_UNROLL
            for (int v = 0; v < kVectors; ++v) sum[r][v] = Bf16Dot::add(sum[r][v], x, b[v]);
          }
        }
      }
      a += Dot::kPairs;
    }
    RAE_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const Vector<float> scale = load_bf16(scales + v * kLanesPerVector);
      RAE_UNROLL
      for (int r = 0; r < kRows; ++r) total[r][v] += rounded(sum[r][v] * scale);
    }
    scales += kWidth;
  }
  RAE_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const Vector<T> bias = load(out.bias + v * kLanesPerVector);
    RAE_UNROLL
    for (int r = 0; r < kRows; ++r) store<T>(total[r][v] + bias, target + r * out.stride + v * kLanesPerVector);
  }
}

// Rounded to nearest even, into the upper halves; no number here is a NaN that could overflow.
inline Vector<std::uint32_t> rounded_to_bf16(Vector<float> x) {
  const auto bits = reinterpret_cast<Vector<std::uint32_t>>(x);
  return bits + 0x7fffu + ((bits >> 16) & 1u);
}

template <int kBits>
[[maybe_unused]] void unpack_groups(index_t k, const std::uint32_t* panel, std::uint32_t* out) {
  using Dot = GroupDot<kBits>;
  using Word = std::uint32_t;
  constexpr index_t kLanesPerVector = VectorOf<Word>::lanes, kWidth = kTileVectors * kLanesPerVector;
  const auto* scales = reinterpret_cast<const std::uint16_t*>(panel + k * kWidth);
  for (index_t p = 0; p < k; ++p) {
    for (index_t v = 0; v < kWidth; v += kLanesPerVector) {
      const Vector<float> scale = load_bf16(scales + p / Dot::kWords * kWidth + v);
      const Vector<Word> word = load(panel + p * kWidth + v);
      RAE_UNROLL
      for (int pair = 0; pair < Dot::kPairs; ++pair) {
        const auto lower = rounded_to_bf16(Dot::number(word, Dot::shift(pair, 0)) * scale);
        const auto upper = rounded_to_bf16(Dot::number(word, Dot::shift(pair, 1)) * scale);
        store<Word>((upper & 0xffff0000u) | (lower >> 16), out + (p * Dot::kPairs + pair) * kWidth + v);
      }
    }
  }
}
