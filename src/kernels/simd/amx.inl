// The micro-kernel for AMX. Included inside an anonymous namespace, after gemm.inl, whose loop over
// rows selects it by the type of its dot product.
//
// One instruction takes a tile register with 16 rows of a, 16 words along k each, and one with 16
// words along k of 16 columns of the panel, and adds their 16 x 16 dot products of words; the
// layout of the panel in memory already fits. An instruction starts every 16 cycles, and the load
// of a register takes 8, so four sums share two loads of a and two of the panel, and the third
// vector of columns is done separately:
//
//        panel        [ v0 (6) | v1 (7) ]   then   [ v2 (6) ]    registers in parentheses
//   a[ 0..15] (4)       sum (0)  sum (1)             sum (0)
//   a[16..31] (5)       sum (2)  sum (3)             sum (2)     v2 reads a again, from level 1
//
// Sums of int8 products are exact, so they equal those of every other instruction set. Those of
// bf16 do not: of 32 neighbours along k the even and the odd products are summed separately, then
// together, and that is added to the sum; numbers below 2^-126 count as zero.

#if !defined(RAE_TILE_LOAD)
#define RAE_TILE_CONFIGURE(shapes) _tile_loadconfig(shapes)
#define RAE_TILE_RELEASE() _tile_release()
#define RAE_TILE_LOAD(t, p, bytes) _tile_loadd(t, p, bytes)
#define RAE_TILE_STORE(t, p, bytes) _tile_stored(t, p, bytes)
#define RAE_TILE_BF16(sum, a, b) _tile_dpbf16ps(sum, a, b)
#define RAE_TILE_INT8(sum, a, b) _tile_dpbusd(sum, a, b)
#endif

struct AmxBf16Dot {
  using Word = std::uint32_t;
  using Sum = float;
  static constexpr bool kTiles = true;
};
struct AmxInt8Dot {
  using Word = std::uint32_t;
  using Sum = std::int32_t;
  static constexpr bool kTiles = true;
};

constexpr index_t kTileSide = 16;  // rows of a register, and words of a row

// The shapes of the tile registers, in the layout that the processor reads.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

// The compiler does not know that the intrinsics read memory; this makes it finish earlier stores.
inline void compiler_barrier() { __asm__ volatile("" : : : "memory"); }

// Shapes for `rows` rows of a and of sums: registers 0, 1 and 4 hold the first 16 rows, and 2, 3
// and 5 the others.
inline void configure_tiles(index_t rows) {
  TileConfig shapes;
  const auto set = [&shapes](int t, index_t count) {
    shapes.row_bytes[t] = count > 0 ? 64 : 0;
    shapes.rows[t] = static_cast<std::uint8_t>(count);
  };
  const index_t first = rows < kTileSide ? rows : kTileSide;
  for (const int t : {0, 1, 4}) set(t, first);
  for (const int t : {2, 3, 5}) set(t, rows - first);
  for (const int t : {6, 7}) set(t, kTileSide);
  compiler_barrier();
  RAE_TILE_CONFIGURE(&shapes);
}

template <class Dot, int kVectors, bool kTwo>
inline void multiply_tiles(const std::uint32_t* a, index_t row, const std::uint32_t* panel) {
  constexpr long kPanelRow = kTileVectors * 64;
  const long a_row = static_cast<long>(row) * 4;
#define RAE_TILE_DOT(sum, x, y)               \
  do {                                        \
    if constexpr (__is_same(Dot, AmxBf16Dot)) \
      RAE_TILE_BF16(sum, x, y);               \
    else                                      \
      RAE_TILE_INT8(sum, x, y);               \
  } while (false)
  RAE_TILE_LOAD(4, a, a_row);
  RAE_TILE_LOAD(6, panel, kPanelRow);
  RAE_TILE_DOT(0, 4, 6);
  if constexpr (kVectors > 1) {
    RAE_TILE_LOAD(7, panel + kTileSide, kPanelRow);
    RAE_TILE_DOT(1, 4, 7);
  }
  if constexpr (kTwo) {
    RAE_TILE_LOAD(5, a + kTileSide * row, a_row);
    RAE_TILE_DOT(2, 5, 6);
    if constexpr (kVectors > 1) RAE_TILE_DOT(3, 5, 7);
  }
#undef RAE_TILE_DOT
}

// sums (rows, panel width) += a * panel, for one or two vectors of columns. The k tail is padded
// with zeros to a whole register.
template <class Dot, int kVectors, bool kTwo>
inline void accumulate_tiles(index_t rows, index_t k, const std::uint32_t* a, index_t row,
                             const std::uint32_t* panel, typename Dot::Sum* sums,
                             Prefetcher* prefetcher) {
  constexpr index_t kWidth = kTileVectors * kTileSide;
  constexpr long kSumRow = kWidth * 4;
  RAE_TILE_LOAD(0, sums, kSumRow);
  if constexpr (kVectors > 1) RAE_TILE_LOAD(1, sums + kTileSide, kSumRow);
  if constexpr (kTwo) {
    RAE_TILE_LOAD(2, sums + kTileSide * kWidth, kSumRow);
    if constexpr (kVectors > 1) RAE_TILE_LOAD(3, sums + kTileSide * kWidth + kTileSide, kSumRow);
  }
  index_t p = 0, prefetched = 0;
  for (; p + kTileSide <= k; p += kTileSide) {
    for (; prefetcher && prefetched <= p; prefetched += prefetcher->steps_per_chunk)
      prefetcher->prefetch_chunk();
    multiply_tiles<Dot, kVectors, kTwo>(a + p, row, panel + p * kWidth);
  }
  if (p < k) {
    alignas(64) std::uint32_t last_a[2 * kTileSide * kTileSide] = {},
                                                     last_panel[kTileSide * kWidth] = {};
    for (index_t r = 0; r < rows; ++r)
      for (index_t i = 0; p + i < k; ++i) last_a[r * kTileSide + i] = a[r * row + p + i];
    for (index_t i = 0; p + i < k; ++i)
      for (index_t j = 0; j < kVectors * kTileSide; ++j)
        last_panel[i * kWidth + j] = panel[(p + i) * kWidth + j];
    compiler_barrier();
    multiply_tiles<Dot, kVectors, kTwo>(last_a, kTileSide, last_panel);
  }
  RAE_TILE_STORE(0, sums, kSumRow);
  if constexpr (kVectors > 1) RAE_TILE_STORE(1, sums + kTileSide, kSumRow);
  if constexpr (kTwo) {
    RAE_TILE_STORE(2, sums + kTileSide * kWidth, kSumRow);
    if constexpr (kVectors > 1) RAE_TILE_STORE(3, sums + kTileSide * kWidth + kTileSide, kSumRow);
  }
  compiler_barrier();
}

template <class Dot, bool kTwo>
inline void accumulate_columns(index_t rows, index_t vectors, index_t k, const std::uint32_t* a,
                               index_t row, const std::uint32_t* panel, typename Dot::Sum* sums,
                               Prefetcher& prefetcher) {
  if (vectors == 1)
    return accumulate_tiles<Dot, 1, kTwo>(rows, k, a, row, panel, sums, &prefetcher);
  accumulate_tiles<Dot, 2, kTwo>(rows, k, a, row, panel, sums, &prefetcher);
  if (vectors == 3)
    accumulate_tiles<Dot, 1, kTwo>(rows, k, a, row, panel + 2 * kTileSide, sums + 2 * kTileSide,
                                   nullptr);
}

template <class Dot, class T>
requires IsAmxDot<Dot>
inline void micro_kernel_for_rows(index_t rows, index_t vectors, index_t k, const std::uint32_t* a,
                                  index_t row, index_t, const std::uint32_t* panel,
                                  const OutputTile<T>& out, Prefetcher prefetcher) {
  using Sum = typename Dot::Sum;
  constexpr bool kIntegers = !__is_same(Sum, T);
  constexpr index_t kWidth = kTileVectors * kTileSide;
  alignas(64) Sum sums[kTileRows * kWidth];
  for (index_t r = 0; r < rows; ++r)
    for (index_t v = 0; v < vectors; ++v) {
      Vector<Sum> start = {};
      if constexpr (kIntegers)
        start -= load(out.compensation + v * kTileSide);
      else if (out.accumulate)
        start = load(out.data + r * out.stride + v * kTileSide);
      store<Sum>(start, sums + r * kWidth + v * kTileSide);
    }
  configure_tiles(rows);
  if (rows > kTileSide)
    accumulate_columns<Dot, true>(rows, vectors, k, a, row, panel, sums, prefetcher);
  else
    accumulate_columns<Dot, false>(rows, vectors, k, a, row, panel, sums, prefetcher);
  for (index_t v = 0; v < vectors; ++v) {
    const Vector<T> bias = load(out.bias + v * kTileSide);
    for (index_t r = 0; r < rows; ++r) {
      T* const place = out.data + r * out.stride + v * kTileSide;
      const Vector<Sum> sum = load(sums + r * kWidth + v * kTileSide);
      if constexpr (kIntegers) {
        Vector<T> number = __builtin_convertvector(sum, Vector<T>) *
                           (out.row_scale[r] * load(out.column_scale + v * kTileSide));
        number += bias;
        if (out.accumulate) number += load(place);
        store<T>(number, place);
      } else {
        store<T>(sum + bias, place);
      }
    }
  }
}
