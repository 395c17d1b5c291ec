// The GEMM tile for AMX. Included inside an anonymous namespace, behind gemm.inl, whose loop over
// rows finds it by the type of its product.
//
// One instruction takes a register of 16 rows of a, 16 words along k each, and one of 16 words
// along k of 16 columns of the panel, and adds their 16 x 16 products of words: the panel lies in
// memory as that wants it. It does so every 16 cycles, and a load of a register takes 8, so four
// sums share two loads of a and two of the panel, and the third vector of columns has a turn of its
// own:
//
//        panel   [ v0 (6) | v1 (7) ]   then   [ v2 (6) ]         registers in brackets; 32 words
//        along k are loaded for 4 products
//   a[ 0..15] (4)  sum (0)  sum (1)            sum (0)           of 16, those of v2 read a again,
//   from the level-1 cache a[16..31] (5)  sum (2)  sum (3)            sum (2)
//
// 8-bit sums are exact, and so the same as those of every other instruction set. Those of bf16 are
// not: of 32 neighbours along k the even and the odd products are summed apart, then together, and
// that is added to the sum; numbers below 2^-126 count as zero.

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

// What the registers hold, as the processor reads it.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

// The intrinsics do not tell the compiler that they read memory.
inline void finish_stores() { __asm__ volatile("" : : : "memory"); }

// `rows` of a and so many of sums: registers 0, 1 and 4 for the first 16, the others for those
// behind.
inline void configure_tiles(index_t rows) {
  TileShapes shapes;
  const auto set = [&shapes](int t, index_t count) {
    shapes.row_bytes[t] = count > 0 ? 64 : 0;
    shapes.rows[t] = static_cast<std::uint8_t>(count);
  };
  const index_t first = rows < kTileSide ? rows : kTileSide;
  for (const int t : {0, 1, 4}) set(t, first);
  for (const int t : {2, 3, 5}) set(t, rows - first);
  for (const int t : {6, 7}) set(t, kTileSide);
  finish_stores();
  RAE_TILE_CONFIGURE(&shapes);
}

template <class Dot, int kVectors, bool kTwo>
inline void add_tiles(const std::uint32_t* a, index_t row, const std::uint32_t* panel) {
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

// sums (rows, panel width) += a * panel, for one or two vectors of columns. What of k does not fill
// a register is multiplied beside zeros.
template <class Dot, int kVectors, bool kTwo>
inline void sum_tiles(index_t rows, index_t k, const std::uint32_t* a, index_t row,
                      const std::uint32_t* panel, typename Dot::Sum* sums, Ahead* ahead) {
  constexpr index_t kWidth = kTileVectors * kTileSide;
  constexpr long kSumRow = kWidth * 4;
  RAE_TILE_LOAD(0, sums, kSumRow);
  if constexpr (kVectors > 1) RAE_TILE_LOAD(1, sums + kTileSide, kSumRow);
  if constexpr (kTwo) {
    RAE_TILE_LOAD(2, sums + kTileSide * kWidth, kSumRow);
    if constexpr (kVectors > 1) RAE_TILE_LOAD(3, sums + kTileSide * kWidth + kTileSide, kSumRow);
  }
  index_t p = 0, fetched = 0;
  for (; p + kTileSide <= k; p += kTileSide) {
    for (; ahead && fetched <= p; fetched += ahead->steps) ahead->fetch_bit();
    add_tiles<Dot, kVectors, kTwo>(a + p, row, panel + p * kWidth);
  }
  if (p < k) {
    alignas(64) std::uint32_t last_a[2 * kTileSide * kTileSide] = {},
                                                     last_panel[kTileSide * kWidth] = {};
    for (index_t r = 0; r < rows; ++r)
      for (index_t i = 0; p + i < k; ++i) last_a[r * kTileSide + i] = a[r * row + p + i];
    for (index_t i = 0; p + i < k; ++i)
      for (index_t j = 0; j < kVectors * kTileSide; ++j)
        last_panel[i * kWidth + j] = panel[(p + i) * kWidth + j];
    finish_stores();
    add_tiles<Dot, kVectors, kTwo>(last_a, kTileSide, last_panel);
  }
  RAE_TILE_STORE(0, sums, kSumRow);
  if constexpr (kVectors > 1) RAE_TILE_STORE(1, sums + kTileSide, kSumRow);
  if constexpr (kTwo) {
    RAE_TILE_STORE(2, sums + kTileSide * kWidth, kSumRow);
    if constexpr (kVectors > 1) RAE_TILE_STORE(3, sums + kTileSide * kWidth + kTileSide, kSumRow);
  }
  finish_stores();
}

template <class Dot, bool kTwo>
inline void sum_columns(index_t rows, index_t vectors, index_t k, const std::uint32_t* a,
                        index_t row, const std::uint32_t* panel, typename Dot::Sum* sums,
                        Ahead& ahead) {
  if (vectors == 1) return sum_tiles<Dot, 1, kTwo>(rows, k, a, row, panel, sums, &ahead);
  sum_tiles<Dot, 2, kTwo>(rows, k, a, row, panel, sums, &ahead);
  if (vectors == 3)
    sum_tiles<Dot, 1, kTwo>(rows, k, a, row, panel + 2 * kTileSide, sums + 2 * kTileSide, nullptr);
}

template <class Dot, class T>
requires IsAmxDot<Dot>
inline void tile_rows(index_t rows, index_t vectors, index_t k, const std::uint32_t* a, index_t row,
                      index_t, const std::uint32_t* panel, const TileOut<T>& out, Ahead ahead) {
  using Sum = typename Dot::Sum;
  constexpr bool kIntegers = !__is_same(Sum, T);
  constexpr index_t kWidth = kTileVectors * kTileSide;
  alignas(64) Sum sums[kTileRows * kWidth];
  for (index_t r = 0; r < rows; ++r)
    for (index_t v = 0; v < vectors; ++v) {
      Vector<Sum> start = {};
      if constexpr (kIntegers)
        start -= load(out.compensation + v * kTileSide);
      else if (out.resume)
        start = load(out.data + r * out.stride + v * kTileSide);
      store<Sum>(start, sums + r * kWidth + v * kTileSide);
    }
  configure_tiles(rows);
  if (rows > kTileSide)
    sum_columns<Dot, true>(rows, vectors, k, a, row, panel, sums, ahead);
  else
    sum_columns<Dot, false>(rows, vectors, k, a, row, panel, sums, ahead);
  for (index_t v = 0; v < vectors; ++v) {
    const Vector<T> bias = load(out.bias + v * kTileSide);
    for (index_t r = 0; r < rows; ++r) {
      T* const place = out.data + r * out.stride + v * kTileSide;
      const Vector<Sum> sum = load(sums + r * kWidth + v * kTileSide);
      if constexpr (kIntegers) {
        Vector<T> number = __builtin_convertvector(sum, Vector<T>) *
                           (out.row_scale[r] * load(out.column_scale + v * kTileSide));
        number += bias;
        if (out.resume) number += load(place);
        store<T>(number, place);
      } else {
        store<T>(sum + bias, place);
      }
    }
  }
}
