// The GEMM tile. Included inside an anonymous namespace, after kVectorBytes, kTileRows and kTileVectors were set for the
// instruction set, for all types of element at once: a step of k is what dot.inl makes of it.
//
// One step of k loads kTileVectors vectors of the panel, broadcasts kTileRows elements of a, and makes all their products:
//
//            panel row k   [ v0 | v1 | v2 ]
//   a[0][k]  ->  acc[0]    [ .. | .. | .. ]
//   a[1][k]  ->  acc[1]    [ .. | .. | .. ]   ...
//
// How large a tile. A CPU of today starts two vector products per cycle, each reading its sum: f32 multiply-adds and vpdpbusd are ready
// after 4 cycles, vdpbf16ps after 6, so 8 and 12 sums must be under way at the least; measured on Zen 5, vdpbf16ps reaches two per
// cycle with 16 sums or more. It also loads two vectors per cycle: rows + vectors loads against rows * vectors products must stay far
// below one to one. And sums, the panel's vectors and a broadcast must fit the register file:
//
//                 tile     sums   registers of the tile    loads per product
//   AVX-512       8 x 3     24     24 + 3 + 1 of 32         11 / 24
//   AVX2          6 x 2     12     12 + 2 + 1 of 16          8 / 12
//   SSE2, NEON    4 x 2      8      8 + 2 + 1 of 16          6 / 8
//
// In the compiled loop of AVX-512 there must be exactly 24 products and 11 loads (tests/rules/kernel_test.cpp counts them).

// Sums of products over k, from zero or, with `resume`, from what `sums` holds: a(r, p) is a[r * row + p * column], so that a transposed
// operand is read where it lies.
template <class Dot, int kRows, int kVectors>
inline void tile(index_t k, const typename Dot::Word* __restrict a, index_t row, index_t column, const typename Dot::Word* __restrict panel,
                 bool resume, typename Dot::Sum* __restrict sums) {
  using Word = typename Dot::Word;
  using Sum = typename Dot::Sum;
  constexpr index_t kLanesPerVector = VectorOf<Word>::lanes;
  constexpr index_t kWidth = kTileVectors * kLanesPerVector;
  Vector<Sum> acc[kRows][kVectors] = {};
  if (resume) {
    RAE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      RAE_UNROLL
      for (int v = 0; v < kVectors; ++v) acc[r][v] = *reinterpret_cast<const Vector<Sum>*>(sums + r * kWidth + v * kLanesPerVector);
    }
  }
  for (index_t p = 0; p < k; ++p) {
    RAE_UNROLL
    for (int part = 0; part < Dot::kParts; ++part) {
      decltype(Dot::part_of_b(0, Vector<Word>{})) b[kVectors];
      RAE_UNROLL
      for (int v = 0; v < kVectors; ++v)
        b[v] = Dot::part_of_b(part, *reinterpret_cast<const Vector<Word>*>(panel + p * kWidth + v * kLanesPerVector));
      RAE_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const auto x = Dot::part_of_a(part, broadcast(a[r * row]));
        RAE_UNROLL
        for (int v = 0; v < kVectors; ++v) acc[r][v] = Dot::add(acc[r][v], x, b[v]);
      }
    }
    a += column;
  }
  RAE_UNROLL
  for (int r = 0; r < kRows; ++r) {
    RAE_UNROLL
    for (int v = 0; v < kVectors; ++v) *reinterpret_cast<Vector<Sum>*>(sums + r * kWidth + v * kLanesPerVector) = acc[r][v];
  }
}

template <class Dot, int kRows>
inline void tile_columns(index_t vectors, index_t k, const typename Dot::Word* a, index_t row, index_t column,
                         const typename Dot::Word* panel, bool resume, typename Dot::Sum* sums) {
  if constexpr (kTileVectors >= 3) {
    if (vectors == 3) return tile<Dot, kRows, 3>(k, a, row, column, panel, resume, sums);
  }
  if (vectors >= 2) return tile<Dot, kRows, 2>(k, a, row, column, panel, resume, sums);
  tile<Dot, kRows, 1>(k, a, row, column, panel, resume, sums);
}

template <class Dot, int kRows = kTileRows>
inline void tile_rows(index_t rows, index_t vectors, index_t k, const typename Dot::Word* a, index_t row, index_t column,
                      const typename Dot::Word* panel, bool resume, typename Dot::Sum* sums) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return tile_rows<Dot, kRows - 1>(rows, vectors, k, a, row, column, panel, resume, sums);
  }
  tile_columns<Dot, kRows>(vectors, k, a, row, column, panel, resume, sums);
}

// Rows of sums to their places. A whole panel's width is a constant, so that its loops become a few vectors without an end.
// kAdd: what is there is added; otherwise the sums began with it.
template <bool kAdd, index_t kColumns, class T, class Product>
inline void store_rows(index_t first, index_t rows, T* sums, const Product& product) {
  constexpr index_t kWidth = kTileVectors * VectorOf<T>::lanes;
  const index_t n = kColumns > 0 ? kColumns : product.columns;
  const T* bias = product.bias;
  for (index_t r = 0; r < rows; ++r) {
    T* target = product.out + (first + r) * product.out_stride;
    T* sum = sums + r * kWidth;
    if (bias)
      for (index_t j = 0; j < n; ++j) sum[j] += bias[j];
    if (kAdd)
      for (index_t j = 0; j < n; ++j) sum[j] += target[j];
    if (product.activation == Activation::none)
      for (index_t j = 0; j < n; ++j) target[j] = sum[j];
    else
      activate(product.activation, n, sum, target);
  }
}

// Sums of quantised numbers to numbers: the unsigned a is 128 more than it means, which the column's compensation takes back.
template <class Product>
inline void dequantize(index_t first, index_t rows, const std::int32_t* sums, const Product& product, float* numbers) {
  constexpr index_t kWidth = kTileVectors * VectorOf<float>::lanes;
  const float* scales = product.column_scale;
  const std::int32_t* compensation = product.compensation;
  for (index_t r = 0; r < rows; ++r) {
    const float scale = product.row_scale[first + r];
    for (index_t j = 0; j < kWidth; ++j)
      numbers[r * kWidth + j] = static_cast<float>(sums[r * kWidth + j] - compensation[j]) * (scale * scales[j]);
  }
}

template <class Dot, class T>
void gemm_panel(const PanelProduct<typename Dot::Word, T>& product) {
  using Sum = typename Dot::Sum;
  constexpr index_t kWidth = kTileVectors * VectorOf<T>::lanes;
  constexpr index_t kLine = 64;  // bytes of a cache line
  const index_t vectors = (product.columns + VectorOf<T>::lanes - 1) / VectorOf<T>::lanes;
  const char* next = reinterpret_cast<const char*>(product.next);
  const index_t lines = next ? product.next_bytes / kLine : 0;
  const index_t tiles = (product.rows + kTileRows - 1) / kTileRows, lines_per_tile = (lines + tiles - 1) / tiles;
  alignas(64) Sum sums[kTileRows * kWidth];
  index_t fetched = 0;
  const bool whole = product.columns == kWidth;
  // Sums of the type of out go on from there, so that a sum in parts is the same as one in one go.
  constexpr bool kResumes = __is_same(Sum, T);
  const bool resume = kResumes && product.accumulate;
  for (index_t row = 0; row < product.rows; row += kTileRows) {
    const index_t rows = product.rows - row < kTileRows ? product.rows - row : kTileRows;
    for (const index_t end = fetched + lines_per_tile < lines ? fetched + lines_per_tile : lines; fetched < end; ++fetched)
      __builtin_prefetch(next + fetched * kLine, 0, 2);
    if constexpr (kResumes) {
      if (resume)
        for (index_t r = 0; r < rows; ++r)
          for (index_t j = 0; j < product.columns; ++j) sums[r * kWidth + j] = product.out[(row + r) * product.out_stride + j];
    }
    tile_rows<Dot>(rows, vectors, product.k, product.a + row * product.row_stride, product.row_stride, product.column_stride, product.panel,
                   resume, sums);
    if constexpr (kResumes) {
      if (whole)
        store_rows<false, kWidth>(row, rows, sums, product);
      else
        store_rows<false, 0>(row, rows, sums, product);
    } else {
      alignas(64) T numbers[kTileRows * kWidth];
      dequantize(row, rows, sums, product, numbers);
      if (product.accumulate)
        store_rows<true, 0>(row, rows, numbers, product);
      else if (whole)
        store_rows<false, kWidth>(row, rows, numbers, product);
      else
        store_rows<false, 0>(row, rows, numbers, product);
    }
  }
}
