// Packing of the right operand of a product into panels. Included inside an anonymous namespace.

template <class V, index_t... kLane>
inline void interleave(const V& a, const V& b, V& low, V& high,
                       std::integer_sequence<index_t, kLane...>) {
  constexpr index_t kSide = sizeof...(kLane);
  low = __builtin_shufflevector(a, b, (kLane % 2 * kSide + kLane / 2)...);
  high = __builtin_shufflevector(a, b, (kLane % 2 * kSide + (kLane + kSide) / 2)...);
}

// dst[p * dst_stride + j] = src[j * src_stride + p] for a square block of vectors: each round
// interleaves the first half of the rows with the second.
template <class T>
inline void transpose_block(const T* src, index_t src_stride, T* dst, index_t dst_stride) {
  using V = typename VectorOf<T>::type;
  constexpr index_t kSide = VectorOf<T>::lanes;
  Array<V, kSide> rows, next;
  RAE_UNROLL
  for (int i = 0; i < kSide; ++i) __builtin_memcpy(&rows[i], src + i * src_stride, sizeof(V));
  RAE_UNROLL
  for (int round = 1; round < kSide; round *= 2) {
    RAE_UNROLL
    for (int i = 0; i < kSide / 2; ++i)
      interleave(rows[i], rows[i + kSide / 2], next[2 * i], next[2 * i + 1],
                 std::make_integer_sequence<index_t, kSide>());
    RAE_UNROLL
    for (int i = 0; i < kSide; ++i) rows[i] = next[i];
  }
  RAE_UNROLL
  for (int i = 0; i < kSide; ++i) *reinterpret_cast<V*>(dst + i * dst_stride) = rows[i];
}

template <class T>
void pack_panel(const T* b, index_t row_stride, index_t column_stride, index_t k, index_t columns,
                T* dst) {
  constexpr index_t kSide = VectorOf<T>::lanes, kWidth = kTileVectors * kSide;
  if (column_stride == 1 && columns == kWidth) {
    for (index_t p = 0; p < k; ++p)
      for (index_t j = 0; j < kWidth; ++j) dst[p * kWidth + j] = b[p * row_stride + j];
    return;
  }
  // Whole vectors of columns at a time: rows are copied, and a transposed source is transposed in
  // square blocks; the remainder is copied element by element.
  const index_t whole_columns = column_stride == 1 || row_stride == 1 ? columns / kSide * kSide : 0;
  const index_t whole_rows = column_stride == 1 ? k : k / kSide * kSide;
  for (index_t j = 0; j < whole_columns; j += kSide) {
    if (column_stride == 1)
      for (index_t p = 0; p < k; ++p) store(load(b + p * row_stride + j), dst + p * kWidth + j);
    else
      for (index_t p = 0; p < whole_rows; p += kSide)
        transpose_block(b + p + j * column_stride, column_stride, dst + p * kWidth + j, kWidth);
  }
  for (index_t p = 0; p < k; ++p) {
    for (index_t j = p < whole_rows ? whole_columns : 0; j < columns; ++j)
      dst[p * kWidth + j] = b[p * row_stride + j * column_stride];
    for (index_t j = columns; j < kWidth; ++j) dst[p * kWidth + j] = T(0);
  }
}

template <class T>
void copy_runs(const T* src, index_t src_stride, index_t rows, const CopyRun* runs, index_t count,
               T* dst, index_t dst_stride) {
  constexpr index_t kSide = VectorOf<T>::lanes;
  for (index_t row = 0; row < rows; ++row, src += src_stride, dst += dst_stride)
    for (const CopyRun* run = runs; run < runs + count; ++run)
      for (index_t i = 0; i < run->length; i += kSide)
        store(load(src + run->from + i), dst + run->to + i);
}
