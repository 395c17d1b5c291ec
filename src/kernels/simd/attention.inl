// Row functions of attention: rotary position embedding, the exponentials of softmax, and the
// conversion of rows to bf16 words. Included inside an anonymous namespace, after vector.inl and
// quantize.inl.

template <class T>
using LaneIndices = std::make_integer_sequence<index_t, VectorOf<T>::lanes>;

template <class V, index_t... kLane>
inline V swap_pairs(const V& x, std::integer_sequence<index_t, kLane...>) {
  return __builtin_shufflevector(x, x, (kLane ^ 1)...);
}

// The odd elements of two vectors, concatenated.
template <class V, index_t... kLane>
inline V odd_elements(const V& a, const V& b, std::integer_sequence<index_t, kLane...>) {
  return __builtin_shufflevector(a, b, (2 * kLane + 1)...);
}

// Reduces all lanes by f in a fixed tree.
template <index_t kStep = 1, class V, class F, index_t... kLane>
inline auto reduce_lanes(const V& x, F f, std::integer_sequence<index_t, kLane...> lanes) {
  const V folded = f(x, __builtin_shufflevector(x, x, (kLane ^ kStep)...));
  if constexpr (2 * kStep < static_cast<index_t>(sizeof...(kLane)))
    return reduce_lanes<2 * kStep>(folded, f, lanes);
  else
    return folded[0];
}

// out (n) = scale * x with every pair (x0, x1) rotated to (x0 cos - x1 sin, x1 cos + x0 sin), or
// with `inverse` by the opposite angle; only scaled where cos is null. The last vector overlaps the
// one before it; it is computed first, so that out may be x.
template <class T>
void apply_rope_to_row(index_t n, const T* x, const T* cos, const T* sin, bool inverse, T scale,
                       T* out) {
  constexpr index_t kLanesPerVector = VectorOf<T>::lanes;
  if (!cos) {
    for (index_t i = 0; i < n; ++i) out[i] = scale * x[i];
    return;
  }
  const T direction = inverse ? T(-1) : T(1);
  if (n < kLanesPerVector) {
    for (index_t i = 0; i < n; i += 2) {
      const T a = x[i], b = x[i + 1], c = scale * cos[i], s = direction * scale * sin[i];
      out[i] = a * c - b * s;
      out[i + 1] = b * c + a * s;
    }
    return;
  }
  Vector<T> sign;
  for (index_t l = 0; l < kLanesPerVector; ++l) sign[l] = l % 2 == 0 ? -direction : direction;
  const auto rotated_at = [&](index_t i) {
    const Vector<T> a = load(x + i);
    return (a * load(cos + i) + sign * swap_pairs(a, LaneIndices<T>()) * load(sin + i)) * scale;
  };
  const Vector<T> last = rotated_at(n - kLanesPerVector);
  for (index_t i = 0; i + kLanesPerVector < n; i += kLanesPerVector)
    store<T>(rotated_at(i), out + i);
  store<T>(last, out + n - kLanesPerVector);
}

// 2^x for x <= 0: exactly 1 for 0, and 2^-126 for all x < -126. The polynomial (a minimax fit of
// the relative error on [-1/2, 1/2] with the constant 1) has an error of 1e-7; with rounding, the
// total error is at most 2 ULP.
inline Vector<float> exp2_vector(Vector<float> x) {
  constexpr float kRound =
      12582912.0f +
      127.0f;  // 1.5 * 2^23: a sum with it is an integer; 127: the bias of an exponent
  x = x < -126.0f ? broadcast(-126.0f) : x;
  const Vector<float> whole = x + kRound, r = x - (whole - kRound);
  Vector<float> p = r * 1.326473203e-03f + 9.671522265e-03f;
  p = p * r + 5.550733821e-02f;
  p = p * r + 2.402224194e-01f;
  p = p * r + 6.931469775e-01f;
  p = p * r + 1.0f;
  return p * reinterpret_cast<Vector<float>>(reinterpret_cast<Vector<std::uint32_t>>(whole) << 23);
}
inline Vector<double> exp2_vector(Vector<double> x) {
  for (index_t l = 0; l < VectorOf<double>::lanes; ++l) x[l] = __builtin_exp2(x[l]);
  return x;
}

// Pads x (n) to a multiple of kBlock with the lowest finite number, and returns the largest
// element.
template <index_t kBlock, class T>
inline T pad_and_find_largest(index_t n, T* x) {
  for (index_t i = n; i % kBlock != 0; ++i)
    x[i] = -(__is_same(T, float) ? T(__FLT_MAX__) : T(__DBL_MAX__));
  Vector<T> top = load(x);
  for (index_t i = VectorOf<T>::lanes; i < n; i += VectorOf<T>::lanes) {
    const Vector<T> v = load(x + i);
    top = top < v ? v : top;
  }
  return reduce_lanes(
      top, [](const Vector<T>& a, const Vector<T>& b) { return a < b ? b : a; }, LaneIndices<T>());
}

template <class T>
T exp2_and_sum(index_t n, T* x) {
  constexpr index_t kLanesPerVector = VectorOf<T>::lanes;
  const T top = pad_and_find_largest<kLanesPerVector>(n, x);
  Vector<T> sum{};
  for (index_t i = 0; i < n; i += kLanesPerVector) {
    const Vector<T> e = exp2_vector(load(x + i) - top);
    sum += e;
    store<T>(e, x + i);
  }
  return reduce_lanes(
      sum, [](const Vector<T>& a, const Vector<T>& b) { return a + b; }, LaneIndices<T>());
}

// Returns the sum of the rounded numbers, so that the weights, divided by it, add up to one. In
// [0, 1], adding half a unit rounds to nearest.
float exp2_and_sum_to_bf16(index_t n, float* x, std::uint16_t* out) {
  using Bits = Vector<std::uint32_t>;
  constexpr index_t kLanesPerVector = VectorOf<float>::lanes;
  const float top = pad_and_find_largest<2 * kLanesPerVector>(n, x);
  Vector<float> sum{};
  const auto rounded = [&](index_t i) {
    const Vector<float> e = exp2_vector(load(x + i) - top);
    const Bits bits = reinterpret_cast<Bits>(e) + 0x8000u;
    sum += reinterpret_cast<Vector<float>>(bits & 0xffff0000u);
    return reinterpret_cast<Vector<std::uint16_t>>(bits);
  };
  for (index_t i = 0; i < n; i += 2 * kLanesPerVector) {
    const auto low = rounded(i), high = rounded(i + kLanesPerVector);
    store<std::uint16_t>(odd_elements(low, high, LaneIndices<std::uint16_t>()), out + i);
  }
  return reduce_lanes(
      sum, [](const Vector<float>& a, const Vector<float>& b) { return a + b; },
      LaneIndices<float>());
}

// Rounds two rows to bf16 and interleaves them: x0 in the low bits of each word.
void interleave_rows_to_bf16(index_t n, const float* x0, const float* x1, std::uint32_t* out) {
  for (index_t i = 0; i < n; ++i)
    out[i] = bf16_in_high_bits(x0[i]) >> 16 | (bf16_in_high_bits(x1[i]) & 0xffff0000u);
}

void interleave_bf16_rows(index_t n, const std::uint16_t* x0, const std::uint16_t* x1,
                          std::uint32_t* out) {
  for (index_t i = 0; i < n; ++i) out[i] = x0[i] | std::uint32_t{x1[i]} << 16;
}
