// The GEMM tile. Included inside an anonymous namespace, after kVectorBytes, kTileRows and
// kTileVectors were set for the instruction set, for all types of element at once: a step of k is
// what dot.inl makes of it.
//
// One step of k loads kTileVectors vectors of the panel, broadcasts kTileRows elements of a, and
// makes all their products:
//
//            panel row k   [ v0 | v1 | v2 ]
//   a[0][k]  ->  acc[0]    [ .. | .. | .. ]
//   a[1][k]  ->  acc[1]    [ .. | .. | .. ]   ...
//
// How large a tile. A CPU of today starts two vector products per cycle, each reading its sum: f32
// multiply-adds and vpdpbusd are ready after 4 cycles, vdpbf16ps after 6, so 8 and 12 sums must be
// under way at the least; measured on Zen 5, vdpbf16ps reaches two per cycle with 16 sums or more.
// It also loads two vectors per cycle: rows + vectors loads against rows * vectors products must
// stay far below one to one. And sums, the panel's vectors and a broadcast must fit the register
// file:
//
//                 tile     sums   registers of the tile    loads per product
//   AVX-512       8 x 3     24     24 + 3 + 1 of 32         11 / 24
//   AVX2          6 x 2     12     12 + 2 + 1 of 16          8 / 12
//   NEON          8 x 3     24     24 + 3 + 1 of 32         11 / 24
//   SSE2          4 x 2      8      8 + 2 + 1 of 16          6 / 8
//
// The loop compiled for AVX-512 has exactly 24 products and 11 loads, and nothing else but its
// counters: look at it with objdump -d after each change here.

// Where a tile of results goes, and what happens on the way. All vectors are as long as the panel
// is wide.
template <class T>
struct TileOut {
  T* data;
  index_t stride;  // between rows
  bool resume;     // add to what is there
  const T* bias;
  const float *row_scale, *column_scale;  // 8 bits
  const std::int32_t* compensation;       // 8 bits
};

// Memory to be brought near bit by bit while a tile is multiplied: many lines at once would fill
// the queue of misses and hold up the loads of the tile itself.
//
// - What the product after this one reads: the first tile of a panel would otherwise wait for every
// line of it. A few lines every 32
//   steps are free (measured on Zen 5 with cold weights: 3 to 5 % faster than without, 8 % faster
//   than all lines of a tile at its begin). Where a panel has few tiles, bits come more often
//   instead of growing (Zen 4, 16 rows on large pages: 5 to 13 % faster).
// - The rows that this tile writes, and those that it adds to what it made: stores wait in order,
// each for its line, and the loads behind
//   them for room in the queue of stores (Zen 4: 2 to 3 % faster in 8 bits; 4096 x 2048 x 384 in
//   bf16: 0.83 of the peak without, 0.92 with). A tile that begins with what is there has read its
//   rows already, and fetches those of the next.
struct Ahead {
  static constexpr index_t kLine = 64;  // bytes of a cache line
  index_t steps;                        // of k between two bits
  const char* next;
  index_t lines;  // of a bit
  const char *out, *residual;
  index_t out_stride, residual_stride, row_lines;
  index_t rows, rows_at_once;  // left of a tile, of a bit

  template <int kWrite>
  static void fetch(const char* from, index_t count) {
    for (index_t line = 0; line < count; ++line)
      __builtin_prefetch(from + line * kLine, kWrite, kWrite ? 3 : 2);
  }
  void fetch_bit() {
    fetch<0>(next, lines);
    next += lines * kLine;
    for (index_t row = 0; row < rows_at_once && rows > 0; ++row, --rows) {
      fetch<1>(out, row_lines);
      out += out_stride;
      if (residual) {
        fetch<0>(residual, row_lines);
        residual += residual_stride;
      }
    }
  }
};

// Integers in groups have a tile of their own (grouped.inl), and so has AMX, for any number of rows
// (amx.inl).
template <class Dot>
concept IsGroupDot = requires {
  Dot::kWords;
};
template <class Dot>
concept IsAmxDot = requires {
  Dot::kTiles;
};

// Sums of products over k: a(r, p) is a[r * row + p * column], so that a transposed operand is read
// where it lies. Sums of the type of out begin with what is there, so that a sum in parts is the
// same as one in one go.
template <class Dot, int kRows, int kVectors, class T>
requires(!IsGroupDot<Dot>) inline void tile(index_t k, const typename Dot::Word* __restrict a,
                                            index_t row, index_t column,
                                            const typename Dot::Word* __restrict panel,
                                            const TileOut<T>& out, Ahead ahead) {
  using Word = typename Dot::Word;
  using Sum = typename Dot::Sum;
  constexpr index_t kLanesPerVector = VectorOf<Word>::lanes;
  constexpr index_t kWidth = kTileVectors * kLanesPerVector;
  constexpr bool kIntegers = !__is_same(Sum, T);
  T* const target = out.data;
  Vector<Sum> acc[kRows][kVectors] = {};
  if constexpr (kIntegers) {
    // The column's compensation takes back what an unsigned a is more than it means.
    if constexpr (Dot::kOffset) {
      RAE_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const Vector<Sum> start = -load(out.compensation + v * kLanesPerVector);
        RAE_UNROLL
        for (int r = 0; r < kRows; ++r) acc[r][v] = start;
      }
    }
  } else {
    if (out.resume) {
      RAE_UNROLL
      for (int r = 0; r < kRows; ++r) {
        RAE_UNROLL
        for (int v = 0; v < kVectors; ++v)
          acc[r][v] = load(target + r * out.stride + v * kLanesPerVector);
      }
    }
  }
  for (index_t p = 0; p < k;) {
    ahead.fetch_bit();
    for (const index_t stop = k - p < ahead.steps ? k : p + ahead.steps; p < stop; ++p) {
      RAE_UNROLL
      for (int part = 0; part < Dot::kParts; ++part) {
        decltype(Dot::part_of_b(0, Vector<Word>{})) b[kVectors];
        RAE_UNROLL
        for (int v = 0; v < kVectors; ++v)
          b[v] = Dot::part_of_b(part, *reinterpret_cast<const Vector<Word>*>(panel + p * kWidth +
                                                                             v * kLanesPerVector));
        RAE_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const auto x = Dot::part_of_a(part, broadcast(a[r * row]));
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
        if (out.resume) number += load(place);
        store<T>(number, place);
      } else {
        store<T>(acc[r][v] + bias, place);
      }
    }
  }
}

template <class Dot, int kRows, class T>
inline void tile_columns(index_t vectors, index_t k, const typename Dot::Word* a, index_t row,
                         index_t column, const typename Dot::Word* panel, const TileOut<T>& out,
                         Ahead ahead) {
  if constexpr (kTileVectors >= 3) {
    if (vectors == 3) return tile<Dot, kRows, 3>(k, a, row, column, panel, out, ahead);
  }
  if (vectors >= 2) return tile<Dot, kRows, 2>(k, a, row, column, panel, out, ahead);
  tile<Dot, kRows, 1>(k, a, row, column, panel, out, ahead);
}

template <class Dot, class T, int kRows = kTileRows>
requires(!IsAmxDot<Dot>) inline void tile_rows(index_t rows, index_t vectors, index_t k,
                                               const typename Dot::Word* a, index_t row,
                                               index_t column, const typename Dot::Word* panel,
                                               const TileOut<T>& out, Ahead ahead) {
  if constexpr (kRows > 1) {
    if (rows < kRows)
      return tile_rows<Dot, T, kRows - 1>(rows, vectors, k, a, row, column, panel, out, ahead);
  }
  tile_columns<Dot, kRows>(vectors, k, a, row, column, panel, out, ahead);
}

// What a row of sums becomes on its way to out: while it is in the level-1 cache, so that nothing
// of it goes to memory but the end.
template <class Word, class T>
inline void finish_row(const PanelProduct<Word, T>& product, index_t row, T* sums) {
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
  alignas(64) T bias[kWidth] = {}, results[kTileRows * kWidth] = {};
  if (product.bias)
    for (index_t j = 0; j < columns; ++j) {
      bias[j] = product.bias[j];
      if (halves) bias[kHalf + j] = product.bias[product.up + j];
    }
  // Whole vectors that only need their bias go straight to their place.
  const bool straight =
      columns % kLanesPerVector == 0 && product.activation == Activation::none && !product.residual;
  // Every tile fetches its share of what comes next; rounded up, so that the last may reach a
  // little behind the end.
  const index_t lines = product.next_bytes / Ahead::kLine;
  const index_t tiles = (product.rows + kTileRows - 1) / kTileRows,
                steps = lines > 0 && tiles > 1 && tiles < 8 ? 4 * tiles : 32;
  const index_t bits_of_tile = (product.k + steps - 1) / steps, bits = tiles * bits_of_tile;
  constexpr index_t kBytes = static_cast<index_t>(sizeof(T));
  const auto bytes_of = [](const void* p) { return static_cast<const char*>(p); };
  Ahead ahead{
      .steps = steps,
      .next = bytes_of(product.next),
      .lines = bits > 0 ? (lines + bits - 1) / bits : 0,
      .out = nullptr,
      .residual = nullptr,
      .out_stride = product.out_stride * kBytes,
      .residual_stride = product.residual_stride * kBytes,
      .row_lines = product.out_is_near ? 0 : (columns * kBytes + Ahead::kLine - 1) / Ahead::kLine,
      .rows = 0,
      .rows_at_once = bits_of_tile > 0 ? (kTileRows + bits_of_tile - 1) / bits_of_tile : 0};
  for (index_t row = 0; row < product.rows; row += kTileRows) {
    const index_t rows = product.rows - row < kTileRows ? product.rows - row : kTileRows;
    T* target = product.out + row * product.out_stride;
    const index_t fetched = product.accumulate ? row + kTileRows : row;
    ahead.out = bytes_of(product.out + fetched * product.out_stride);
    ahead.rows = product.rows - fetched < kTileRows ? product.rows - fetched : kTileRows;
    if (product.residual)
      ahead.residual = bytes_of(product.residual + row * product.residual_stride);
    if (!straight && product.accumulate)
      for (index_t r = 0; r < rows; ++r)
        for (index_t j = 0; j < columns; ++j)
          results[r * kWidth + j] = target[r * product.out_stride + j];
    const TileOut<T> out{straight ? target : results,
                         straight ? product.out_stride : kWidth,
                         product.accumulate,
                         bias,
                         product.row_scale ? product.row_scale + row : nullptr,
                         product.column_scale,
                         product.compensation};
    tile_rows<Dot, T>(rows, vectors, product.k, product.a + row * product.row_stride,
                      product.row_stride, product.column_stride, product.panel, out, ahead);
    ahead.next += ahead.lines * Ahead::kLine * bits_of_tile;
    for (index_t r = 0; r < rows && !straight; ++r)
      finish_row(product, row + r, results + r * kWidth);
  }
}
