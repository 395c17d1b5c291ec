// The micro-kernel of 8-bit integers for processors whose only 8-bit product is vpmaddubsw: in each
// 16-bit lane, a0 b0 + a1 b1 of unsigned a and signed b, which saturates. Included inside an
// anonymous namespace, after gemm.inl, whose dispatch over rows and columns selects it.
//
// Operands have the ranges of kPairRange, 7 bits each instead of 8, so that nothing saturates:
//
//   a is stored as u = a + 64, with a in [-63, 63], so u in [1, 127]; b in [-64, 64].
//   one instruction        |u0 b0 + u1 b1| <= 2 * 127 * 64 = 16256 < 2^15
//
// Sums of kWordsPerSum = 4 words, 16 numbers along k, are taken in 16 bits, with additions that
// wrap around, and begin at the start -64 (b0 + b1 + ...), which removes the offset of a:
//
//   whole sum              |a0 b0 + ... + a7 b7| <= 8 * 63 * 64 = 32256 < 2^15
//
// So the sum is right however often the additions on the way to it wrapped around. Then vpmaddwd
// adds both halves of a lane in 32 bits. For 4 words of two operands this makes 5 products and 5
// additions, against 16 multiply-adds in f32. The starts of a panel are computed once for all
// tiles of rows (`write_int8_starts`), (k / 4, width) words of two 16-bit numbers.
//
// Two rows at a time keep their 16-bit sums, the panel's vectors and a in registers, while the
// 32-bit sums of the tile are in the level-1 cache.

constexpr Int8Range kPairRange = {.left = 63, .right = 64, .offset = 64};

struct PairDot {
  using Word = std::uint32_t;
  static constexpr index_t kWordsPerSum = 4;
  static constexpr std::int32_t kNumbersPerLane = 2 * kWordsPerSum;  // of 16 bits
  static_assert(2 * (kPairRange.left + kPairRange.offset) * kPairRange.right < 1 << 15);
  static_assert(kNumbersPerLane * kPairRange.left * kPairRange.right < 1 << 15);
};

inline Vector<std::uint16_t> multiply_pairs(Vector<std::uint32_t> a, Vector<std::uint32_t> b) {
  return reinterpret_cast<Vector<std::uint16_t>>(RAE_MULTIPLY_ADD_INT8(
      reinterpret_cast<RAE_INTEGER_VECTOR>(a), reinterpret_cast<RAE_INTEGER_VECTOR>(b)));
}

// sums (kRows, kVectors) += the products of PairDot::kWordsPerSum words along k.
template <int kRows, int kVectors>
inline void add_words(const std::uint32_t* a, index_t row, const std::uint32_t* panel,
                      const std::uint32_t* starts, Array<Vector<std::int32_t>, kVectors>* sums) {
  constexpr index_t kLanesPerVector = VectorOf<std::uint32_t>::lanes;
  constexpr index_t kWidth = kTileVectors * kLanesPerVector;
  Array<Array<Vector<std::uint16_t>, kVectors>, kRows> sum;
  RAE_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const auto start = reinterpret_cast<Vector<std::uint16_t>>(load(starts + v * kLanesPerVector));
    RAE_UNROLL
    for (int r = 0; r < kRows; ++r) sum[r][v] = start;
  }
  RAE_UNROLL
  for (index_t w = 0; w < PairDot::kWordsPerSum; ++w) {
    Array<Vector<std::uint32_t>, kRows> x;
    RAE_UNROLL
    for (int r = 0; r < kRows; ++r) x[r] = broadcast(a[r * row + w]);
    RAE_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const Vector<std::uint32_t> b = load(panel + w * kWidth + v * kLanesPerVector);
      RAE_UNROLL
      for (int r = 0; r < kRows; ++r) sum[r][v] += multiply_pairs(x[r], b);
    }
  }
  RAE_UNROLL
  for (int r = 0; r < kRows; ++r) {
    RAE_UNROLL
    for (int v = 0; v < kVectors; ++v)
      sums[r][v] = multiply_add_pairs(sums[r][v], reinterpret_cast<Vector<std::int16_t>>(sum[r][v]),
                                      broadcast(std::int16_t{1}));
  }
}

template <class Dot, int kRows, int kVectors, class T>
requires IsPairDot<Dot>
inline void micro_kernel(index_t k, const typename Dot::Word* __restrict a, index_t row, index_t,
                         const typename Dot::Word* __restrict panel, const OutputTile<T>& out,
                         Prefetcher prefetcher) {
  using Word = typename Dot::Word;
  constexpr index_t kLanesPerVector = VectorOf<T>::lanes;
  constexpr index_t kWidth = kTileVectors * kLanesPerVector, kStep = Dot::kWordsPerSum;
  Array<Array<Vector<std::int32_t>, kVectors>, kRows> acc = {};
  const std::uint32_t* starts = out.starts;
  const auto add = [&](const Word* words, index_t stride, const Word* vectors) {
    RAE_UNROLL
    for (int r = 0; r + 1 < kRows; r += 2)
      add_words<2, kVectors>(words + r * stride, stride, vectors, starts, acc + r);
    if constexpr (kRows % 2 == 1)
      add_words<1, kVectors>(words + (kRows - 1) * stride, stride, vectors, starts,
                             acc + kRows - 1);
    starts += kWidth;
  };
  const index_t whole = k - k % kStep;
  for (index_t p = 0; p < whole;) {
    prefetcher.prefetch_chunk();
    for (const index_t stop =
             whole - p < prefetcher.steps_per_chunk ? whole : p + prefetcher.steps_per_chunk;
         p < stop; p += kStep)
      add(a + p, row, panel + p * kWidth);
  }
  if (whole < k) {
    // The last words, padded with zeros.
    alignas(64) Array<Word, kStep* kWidth> vectors = {};
    Array<Word, kRows* kStep> words = {};
    for (index_t p = whole; p < k; ++p) {
      for (index_t j = 0; j < kWidth; ++j)
        vectors[(p - whole) * kWidth + j] = panel[p * kWidth + j];
      for (index_t r = 0; r < kRows; ++r) words[r * kStep + p - whole] = a[r * row + p];
    }
    add(words, kStep, vectors);
  }
  RAE_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const Vector<T> bias = load(out.bias + v * kLanesPerVector),
                    scale = load(out.column_scale + v * kLanesPerVector);
    RAE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      T* const place = out.data + r * out.stride + v * kLanesPerVector;
      Vector<T> number =
          __builtin_convertvector(acc[r][v], Vector<T>) * (out.row_scale[r] * scale) + bias;
      if (out.accumulate) number += load(place);
      store<T>(number, place);
    }
  }
}

// The starts of the 16-bit sums of a panel of k words along k.
void write_int8_starts(index_t k, const std::uint32_t* panel, std::uint32_t* starts) {
  constexpr index_t kLanesPerVector = VectorOf<std::uint32_t>::lanes,
                    kWidth = kTileVectors * kLanesPerVector;
  constexpr std::uint32_t kOffsets = 0x01010101u * static_cast<std::uint32_t>(kPairRange.offset);
  for (index_t first = 0; first < k; first += PairDot::kWordsPerSum, starts += kWidth)
    for (index_t j = 0; j < kWidth; j += kLanesPerVector) {
      Vector<std::uint16_t> start = {};
      for (index_t w = first; w < k && w < first + PairDot::kWordsPerSum; ++w)
        start -= multiply_pairs(broadcast(kOffsets), load(panel + w * kWidth + j));
      store<std::uint32_t>(reinterpret_cast<Vector<std::uint32_t>>(start), starts + j);
    }
}
