// The micro-kernel of matrix products. Included inside an anonymous namespace, after kVectorBytes,
// kTileRows and kTileVectors were set for the instruction set. One template serves all element
// types: dot.inl defines a step of k for each.
//
// One step of k loads kTileVectors vectors of the panel, broadcasts kTileRows elements of a, and
// adds all their products to the sums in registers:
//
//            panel row k   [ v0 | v1 | v2 ]
//   a[0][k]  ->  acc[0]    [ .. | .. | .. ]
//   a[1][k]  ->  acc[1]    [ .. | .. | .. ]   ...
//
// The size of the tile. Current processors start two vector multiply-adds per cycle. The latency of
// f32 multiply-adds and vpdpbusd is 4 cycles, that of vdpbf16ps 6, so at least 8 or 12 independent
// sums are needed; measured on Zen 5, vdpbf16ps reaches two per cycle with 16 sums or more. The
// processor also loads two vectors per cycle, so the rows + vectors loads of a step must stay far
// below its rows * vectors products. And the sums, the vectors of the panel and one broadcast must
// fit the register file:
//
//                 tile     sums   registers of the tile    loads per product
//   AVX-512       8 x 3     24     24 + 3 + 1 of 32         11 / 24
//   AVX2          6 x 2     12     12 + 2 + 1 of 16          8 / 12
//   NEON          8 x 3     24     24 + 3 + 1 of 32         11 / 24
//   SSE2          4 x 2      8      8 + 2 + 1 of 16          6 / 8
//
// The loop compiled for AVX-512 has exactly 24 products, 11 loads and its loop counters: check with
// objdump -d after each change here.

// The destination of a tile of results and its epilogue. All vectors are as long as the panel is
// wide.
template <class T>
struct OutputTile {
  T* data;                           // (rows, columns)
  index_t stride;                    // elements between rows
  bool accumulate;                   // add to the elements that are there
  const T* bias;                     // (panel width)
  const float* row_scale;            // (rows), integers only
  const float* column_scale;         // (panel width), int8 only
  const std::int32_t* compensation;  // (panel width), int8 only: 128 times the sum of each column
  const std::uint32_t* starts;       // int8_pairs.inl only
};

// Prefetches memory in small chunks while a tile is multiplied: many lines at once would fill the
// queue of misses and delay the loads of the tile itself.
//
// - The memory that the next product reads (`next`): otherwise the first tile of a panel would wait
//   for each of its lines. A few lines every 32 steps cost nothing (measured on Zen 5 with cold
//   weights: 3 to 5 % faster than without prefetching, 8 % faster than all lines at the beginning
//   of a tile). Where a panel has few tiles, chunks come more often instead of growing (Zen 4, 16
//   rows on huge pages: 5 to 13 % faster).
// - The rows that this tile writes, and the residual rows that it reads: stores retire in order,
//   each waiting for its line, and later loads wait for room in the store queue (Zen 4: 2 to 3 %
//   faster with int8; 4096 x 2048 x 384 with bf16: 0.92 of the peak instead of 0.83). A tile that
//   accumulates has read its rows already, and prefetches those of the next tile.
struct Prefetcher {
  static constexpr index_t kLine = 64;  // bytes of a cache line
  index_t steps_per_chunk;              // steps of k between two chunks
  const char* next;
  index_t lines_per_chunk;  // of `next`
  const char *out, *residual;
  index_t out_stride, residual_stride;  // bytes between rows
  index_t lines_per_row;                // of out and of the residual
  index_t rows, rows_per_chunk;         // rows of out still to be prefetched, and of one chunk

  template <int kWrite>
  static void prefetch_lines(const char* from, index_t count) {
    for (index_t line = 0; line < count; ++line)
      __builtin_prefetch(from + line * kLine, kWrite, kWrite ? 3 : 2);
  }
  void prefetch_chunk() {
    prefetch_lines<0>(next, lines_per_chunk);
    next += lines_per_chunk * kLine;
    for (index_t row = 0; row < rows_per_chunk && rows > 0; ++row, --rows) {
      prefetch_lines<1>(out, lines_per_row);
      out += out_stride;
      if (residual) {
        prefetch_lines<0>(residual, lines_per_row);
        residual += residual_stride;
      }
    }
  }
};

// Integers in groups have a micro-kernel of their own (grouped.inl), and so has AMX, for any number
// of rows (amx.inl).
template <class Dot>
concept IsGroupDot = requires {
  Dot::kWordsPerGroup;
};
template <class Dot>
concept IsAmxDot = requires {
  Dot::kTiles;
};
// A dot product whose left operand has a number for each part of a step, instead of a word.
template <class Dot>
concept StoresPartsOfA = requires {
  Dot::kStoresPartsOfA;
};
// And so have 8-bit integers whose sums begin in 16 bits (int8_pairs.inl).
template <class Dot>
concept IsPairDot = requires {
  Dot::kWordsPerSum;
};

// out (kRows, kVectors vectors) = the sums over k of a(r, p) * panel(p, j), and the epilogue. a(r,
// p) is a[r * row + p * column], so that a transposed operand needs no copy. Sums of the type of
// out start from the elements that are there, so that a sum in several k-blocks has the bits of a
// single sum.
template <class Dot, int kRows, int kVectors, class T>
requires(!IsGroupDot<Dot> && !IsPairDot<Dot>) inline void micro_kernel(
    index_t k, const typename Dot::Word* __restrict a, index_t row, index_t column,
    const typename Dot::Word* __restrict panel, const OutputTile<T>& out, Prefetcher prefetcher) {
  using Word = typename Dot::Word;
  using Sum = typename Dot::Sum;
  constexpr index_t kLanesPerVector = VectorOf<Word>::lanes;
  constexpr index_t kWidth = kTileVectors * kLanesPerVector;
  constexpr bool kIntegers = !__is_same(Sum, T);
  T* const target = out.data;
  Array<Array<Vector<Sum>, kVectors>, kRows> acc = {};
  if constexpr (kIntegers) {
    // Subtract 128 x the column sum of the panel, because a is stored with a +128 offset.
    if constexpr (Dot::kOffset) {
      RAE_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const Vector<Sum> start = -load(out.compensation + v * kLanesPerVector);
        RAE_UNROLL
        for (int r = 0; r < kRows; ++r) acc[r][v] = start;
      }
    }
  } else {
    if (out.accumulate) {
      RAE_UNROLL
      for (int r = 0; r < kRows; ++r) {
        RAE_UNROLL
        for (int v = 0; v < kVectors; ++v)
          acc[r][v] = load(target + r * out.stride + v * kLanesPerVector);
      }
    }
  }
  for (index_t p = 0; p < k;) {
    prefetcher.prefetch_chunk();
    for (const index_t stop = k - p < prefetcher.steps_per_chunk ? k
                                                                 : p + prefetcher.steps_per_chunk;
         p < stop; ++p) {
      // Where a step reads one line of the panel, the hardware prefetcher does not run far enough
      // ahead: of a tile of 6 rows, whose panel is in the level-2 cache, and of fewer rows, whose
      // panel is in memory (Emerald Rapids with AVX2: f32 1 to 4 % faster, bf16 of 4 rows 1.75x).
      if constexpr (kVectorBytes == 32)
        __builtin_prefetch(panel + (p + (kRows == kTileRows ? 16 : 64)) * kWidth, 0, 3);
      RAE_UNROLL
      for (int part = 0; part < Dot::kParts; ++part) {
        Array<decltype(Dot::part_of_b(0, Vector<Word>{})), kVectors> b;
        RAE_UNROLL
        for (int v = 0; v < kVectors; ++v)
          b[v] = Dot::part_of_b(part, *reinterpret_cast<const Vector<Word>*>(panel + p * kWidth +
                                                                             v * kLanesPerVector));
        RAE_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const auto x =
              Dot::part_of_a(part, broadcast(a[r * row + (StoresPartsOfA<Dot> ? part : 0)]));
          RAE_UNROLL
          for (int v = 0; v < kVectors; ++v) acc[r][v] = Dot::add(acc[r][v], x, b[v]);
        }
      }
      a += column;
    }
  }
  RAE_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const Vector<T> bias = load(out.bias + v * kLanesPerVector);
    RAE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      T* const place = target + r * out.stride + v * kLanesPerVector;
      if constexpr (kIntegers) {
        Vector<T> number = __builtin_convertvector(acc[r][v], Vector<T>) *
                           (out.row_scale[r] * load(out.column_scale + v * kLanesPerVector));
        number += bias;
        if (out.accumulate) number += load(place);
        store<T>(number, place);
      } else {
        store<T>(acc[r][v] + bias, place);
      }
    }
  }
}

template <class Dot, int kRows, class T>
inline void micro_kernel_for_vectors(index_t vectors, index_t k, const typename Dot::Word* a,
                                     index_t row, index_t column, const typename Dot::Word* panel,
                                     const OutputTile<T>& out, Prefetcher prefetcher) {
  if constexpr (kTileVectors >= 3) {
    if (vectors == 3) return micro_kernel<Dot, kRows, 3>(k, a, row, column, panel, out, prefetcher);
  }
  if (vectors >= 2) return micro_kernel<Dot, kRows, 2>(k, a, row, column, panel, out, prefetcher);
  micro_kernel<Dot, kRows, 1>(k, a, row, column, panel, out, prefetcher);
}

template <class Dot, class T, int kRows = kTileRows>
requires(!IsAmxDot<Dot>) inline void micro_kernel_for_rows(index_t rows, index_t vectors, index_t k,
                                                           const typename Dot::Word* a, index_t row,
                                                           index_t column,
                                                           const typename Dot::Word* panel,
                                                           const OutputTile<T>& out,
                                                           Prefetcher prefetcher) {
  if constexpr (kRows > 1) {
    if (rows < kRows)
      return micro_kernel_for_rows<Dot, T, kRows - 1>(rows, vectors, k, a, row, column, panel, out,
                                                      prefetcher);
  }
  micro_kernel_for_vectors<Dot, kRows>(vectors, k, a, row, column, panel, out, prefetcher);
}

// Applies the epilogue to a row of sums while it is in the level-1 cache, so that only the final
// values are written to out.
template <class Word, class T>
inline void apply_epilogue(const PanelProduct<Word, T>& product, index_t row, T* sums) {
  constexpr index_t kHalf = kTileVectors * VectorOf<T>::lanes / 2;
  const index_t columns = product.columns;
  T* const target = product.out + row * product.out_stride;
  if (product.activation == Activation::swiglu)
    swiglu(kHalf, sums, sums);
  else if (product.activation != Activation::none)
    activate(product.activation, columns, sums, sums);
  if (!product.residual) {
    for (index_t j = 0; j < columns; ++j) target[j] = sums[j];
    return;
  }
  const T* const residual = product.residual + row * product.residual_stride;
  if (!product.gate) {
    for (index_t j = 0; j < columns; ++j) target[j] = residual[j] + sums[j];
    return;
  }
  const T* const gate =
      product.gate + (product.row + row) / product.rows_per_gate * product.gate_stride;
  for (index_t j = 0; j < columns; ++j) target[j] = residual[j] + gate[j] * sums[j];
}

template <class Dot, class T>
void gemm_panel(const PanelProduct<typename Dot::Word, T>& product) {
  constexpr index_t kLanesPerVector = VectorOf<T>::lanes, kWidth = kTileVectors * kLanesPerVector,
                    kHalf = kWidth / 2;
  const bool halves = product.activation == Activation::swiglu;
  const index_t columns = product.columns,
                vectors = ((halves ? kHalf : 0) + columns + kLanesPerVector - 1) / kLanesPerVector;
  alignas(64) Array<T, kWidth> bias = {};
  alignas(64) Array<T, kTileRows* kWidth> results = {};
  if (product.bias)
    for (index_t j = 0; j < columns; ++j) {
      bias[j] = product.bias[j];
      if (halves) bias[kHalf + j] = product.bias[product.up + j];
    }
  // Whole vectors that need nothing but a bias are stored directly in out.
  const bool stores_directly =
      columns % kLanesPerVector == 0 && product.activation == Activation::none && !product.residual;
  const std::uint32_t* starts = nullptr;
  if constexpr (IsPairDot<Dot>) starts = product.scratch;
  // Every tile prefetches its share of `next`, rounded up, so that the last chunk may reach a
  // little past the end.
  const index_t lines = product.next_bytes / Prefetcher::kLine;
  const index_t tiles = (product.rows + kTileRows - 1) / kTileRows,
                steps = lines > 0 && tiles > 1 && tiles < 8 ? 4 * tiles : 32;
  const index_t chunks_per_tile = (product.k + steps - 1) / steps, chunks = tiles * chunks_per_tile;
  constexpr index_t kBytes = static_cast<index_t>(sizeof(T));
  const auto bytes_of = [](const void* p) { return static_cast<const char*>(p); };
  Prefetcher prefetcher{
      .steps_per_chunk = steps,
      .next = bytes_of(product.next),
      .lines_per_chunk = chunks > 0 ? (lines + chunks - 1) / chunks : 0,
      .out = nullptr,
      .residual = nullptr,
      .out_stride = product.out_stride * kBytes,
      .residual_stride = product.residual_stride * kBytes,
      .lines_per_row = product.out_is_cached
                           ? 0
                           : (columns * kBytes + Prefetcher::kLine - 1) / Prefetcher::kLine,
      .rows = 0,
      .rows_per_chunk =
          chunks_per_tile > 0 ? (kTileRows + chunks_per_tile - 1) / chunks_per_tile : 0};
  for (index_t row = 0; row < product.rows; row += kTileRows) {
    const index_t rows = product.rows - row < kTileRows ? product.rows - row : kTileRows;
    T* target = product.out + row * product.out_stride;
    const index_t first_prefetched = product.accumulate ? row + kTileRows : row;
    prefetcher.out = bytes_of(product.out + first_prefetched * product.out_stride);
    prefetcher.rows =
        product.rows - first_prefetched < kTileRows ? product.rows - first_prefetched : kTileRows;
    if (product.residual)
      prefetcher.residual = bytes_of(product.residual + row * product.residual_stride);
    if (!stores_directly && product.accumulate)
      for (index_t r = 0; r < rows; ++r)
        for (index_t j = 0; j < columns; ++j)
          results[r * kWidth + j] = target[r * product.out_stride + j];
    const OutputTile<T> out{stores_directly ? target : results,
                            stores_directly ? product.out_stride : kWidth,
                            product.accumulate,
                            bias,
                            product.row_scale ? product.row_scale + row : nullptr,
                            product.column_scale,
                            product.compensation,
                            starts};
    micro_kernel_for_rows<Dot, T>(rows, vectors, product.k, product.a + row * product.row_stride,
                                  product.row_stride, product.column_stride, product.panel, out,
                                  prefetcher);
    prefetcher.next += prefetcher.lines_per_chunk * Prefetcher::kLine * chunks_per_tile;
    for (index_t r = 0; r < rows && !stores_directly; ++r)
      apply_epilogue(product, row + r, results + r * kWidth);
  }
}
