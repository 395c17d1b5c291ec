// The GEMM tile. Included inside an anonymous namespace, after kVectorBytes, kTileRows and kTileVectors were set for the
// instruction set: kTileRows x kTileVectors accumulators hide the latency of the multiply-add (4 cycles, two per cycle: at
// least 8) and, with the panel's vectors and one broadcast, fill but do not exceed the register file:
//   AVX-512  8 x 3 = 24 of 32 registers      AVX2  6 x 2 = 12 of 16      SSE2 / NEON  4 x 2 = 8 of 16
//
// One step of k loads kTileVectors vectors of the panel, broadcasts kTileRows elements of a, and makes all their products:
//
//            panel row k   [ v0 | v1 | v2 ]
//   a[0][k]  ->  acc[0]    [ .. | .. | .. ]
//   a[1][k]  ->  acc[1]    [ .. | .. | .. ]   ...

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
  static constexpr index_t lanes = static_cast<index_t>(kVectorBytes / sizeof(T));
};

// One sum of products over k: a(r, p) is a[r * row + p * column], so that a transposed operand is read where it lies.
template <class T, int kRows, int kVectors>
inline void tile(index_t k, const T* __restrict a, index_t row, index_t column, const T* __restrict panel, T* __restrict sums) {
  using V = typename VectorOf<T>::type;
  constexpr index_t kLanesPerVector = VectorOf<T>::lanes;
  constexpr index_t kWidth = kTileVectors * kLanesPerVector;
  V acc[kRows][kVectors] = {};
  for (index_t p = 0; p < k; ++p) {
    V b[kVectors];
    RAE_UNROLL
    for (int v = 0; v < kVectors; ++v) b[v] = *reinterpret_cast<const V*>(panel + p * kWidth + v * kLanesPerVector);
    RAE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const T x = a[r * row];
      RAE_UNROLL
      for (int v = 0; v < kVectors; ++v) acc[r][v] += x * b[v];
    }
    a += column;
  }
  RAE_UNROLL
  for (int r = 0; r < kRows; ++r) {
    RAE_UNROLL
    for (int v = 0; v < kVectors; ++v) *reinterpret_cast<V*>(sums + r * kWidth + v * kLanesPerVector) = acc[r][v];
  }
}

template <class T, int kRows>
inline void tile_columns(index_t vectors, index_t k, const T* a, index_t row, index_t column, const T* panel, T* sums) {
  if constexpr (kTileVectors >= 3) {
    if (vectors == 3) return tile<T, kRows, 3>(k, a, row, column, panel, sums);
  }
  if (vectors >= 2) return tile<T, kRows, 2>(k, a, row, column, panel, sums);
  tile<T, kRows, 1>(k, a, row, column, panel, sums);
}

template <class T, int kRows = kTileRows>
inline void tile_rows(index_t rows, index_t vectors, index_t k, const T* a, index_t row, index_t column, const T* panel, T* sums) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return tile_rows<T, kRows - 1>(rows, vectors, k, a, row, column, panel, sums);
  }
  tile_columns<T, kRows>(vectors, k, a, row, column, panel, sums);
}

// Rows of sums to their places. A whole panel's width is a constant, so that its loops become a few vectors without an end.
template <class T, index_t kColumns>
inline void store_rows(index_t rows, index_t columns, T* sums, T* out, index_t ldo, const T* bias, Activation activation, bool accumulate) {
  constexpr index_t kWidth = kTileVectors * VectorOf<T>::lanes;
  const index_t n = kColumns > 0 ? kColumns : columns;
  for (index_t r = 0; r < rows; ++r) {
    T* target = out + r * ldo;
    T* sum = sums + r * kWidth;
    if (bias)
      for (index_t j = 0; j < n; ++j) sum[j] += bias[j];
    if (accumulate)
      for (index_t j = 0; j < n; ++j) sum[j] += target[j];
    if (activation == Activation::none)
      for (index_t j = 0; j < n; ++j) target[j] = sum[j];
    else
      activate(activation, n, sum, target);
  }
}

template <class T>
void gemm_panel(index_t m, index_t k, const T* a, index_t row_stride, index_t column_stride, const T* panel, index_t columns, T* out,
                index_t ldo, const T* bias, Activation activation, bool accumulate) {
  constexpr index_t kWidth = kTileVectors * VectorOf<T>::lanes;
  const index_t vectors = (columns + VectorOf<T>::lanes - 1) / VectorOf<T>::lanes;
  alignas(64) T sums[kTileRows * kWidth];
  for (index_t row = 0; row < m; row += kTileRows) {
    const index_t rows = m - row < kTileRows ? m - row : kTileRows;
    tile_rows<T>(rows, vectors, k, a + row * row_stride, row_stride, column_stride, panel, sums);
    if (columns == kWidth)
      store_rows<T, kWidth>(rows, columns, sums, out + row * ldo, ldo, bias, activation, accumulate);
    else
      store_rows<T, 0>(rows, columns, sums, out + row * ldo, ldo, bias, activation, accumulate);
  }
}

template <class V, index_t... kLane>
inline void interleave(const V& a, const V& b, V& low, V& high, std::integer_sequence<index_t, kLane...>) {
  constexpr index_t kSide = sizeof...(kLane);
  low = __builtin_shufflevector(a, b, (kLane % 2 * kSide + kLane / 2)...);
  high = __builtin_shufflevector(a, b, (kLane % 2 * kSide + (kLane + kSide) / 2)...);
}

// dst[p * dst_stride + j] = src[j * src_stride + p] for a square of vectors: every round interleaves the first half with the second.
template <class T>
inline void transpose_square(const T* src, index_t src_stride, T* dst, index_t dst_stride) {
  using V = typename VectorOf<T>::type;
  constexpr index_t kSide = VectorOf<T>::lanes;
  V rows[kSide], next[kSide];
  RAE_UNROLL
  for (int i = 0; i < kSide; ++i) __builtin_memcpy(&rows[i], src + i * src_stride, sizeof(V));
  RAE_UNROLL
  for (int round = 1; round < kSide; round *= 2) {
    RAE_UNROLL
    for (int i = 0; i < kSide / 2; ++i)
      interleave(rows[i], rows[i + kSide / 2], next[2 * i], next[2 * i + 1], std::make_integer_sequence<index_t, kSide>());
    RAE_UNROLL
    for (int i = 0; i < kSide; ++i) rows[i] = next[i];
  }
  RAE_UNROLL
  for (int i = 0; i < kSide; ++i) *reinterpret_cast<V*>(dst + i * dst_stride) = rows[i];
}

template <class T>
void pack_panel(const T* b, index_t row_stride, index_t column_stride, index_t k, index_t columns, T* dst) {
  constexpr index_t kSide = VectorOf<T>::lanes, kWidth = kTileVectors * kSide;
  if (column_stride == 1 && columns == kWidth) {
    for (index_t p = 0; p < k; ++p)
      for (index_t j = 0; j < kWidth; ++j) dst[p * kWidth + j] = b[p * row_stride + j];
    return;
  }
  // A transposed source is turned in squares; what remains, element by element.
  const bool turned = row_stride == 1;
  const index_t square_columns = turned ? columns / kSide * kSide : 0, square_rows = turned ? k / kSide * kSide : 0;
  for (index_t j = 0; j < square_columns; j += kSide)
    for (index_t p = 0; p < square_rows; p += kSide)
      transpose_square(b + p + j * column_stride, column_stride, dst + p * kWidth + j, kWidth);
  for (index_t p = 0; p < k; ++p)
    for (index_t j = p < square_rows ? square_columns : 0; j < kWidth; ++j)
      dst[p * kWidth + j] = j < columns ? b[p * row_stride + j * column_stride] : T(0);
}
