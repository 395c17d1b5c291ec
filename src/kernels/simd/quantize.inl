// Rows of f32 to bf16 and to integers. Included inside an anonymous namespace. All instruction sets
// give the same bits.

inline std::uint32_t bits_of(float x) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return bits;
}

inline float float_of(std::uint32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}

// Round to nearest even as rae::bf16 does it. The conversion that goes with vdpbf16ps would turn
// small numbers into zero.
inline std::uint32_t bf16_in_high_bits(float x) {
  const std::uint32_t bits = bits_of(x);
  const std::uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  return (bits & 0x7fffffffu) > 0x7f800000u ? bits | 0x400000u : rounded;
}

void row_to_bf16(index_t n, const float* x, std::uint16_t* out) {
  for (index_t i = 0; i < n; ++i)
    out[i] = static_cast<std::uint16_t>(bf16_in_high_bits(x[i]) >> 16);
}

// Whole numbers of vectors: out = round(x * factor) + offset, of magnitudes below 2^21.
template <index_t kCount, class Out>
inline void round_scaled(const float* x, float factor, std::int32_t offset, Out* out) {
  std::int32_t whole[kCount];
  for (index_t i = 0; i < kCount; i += VectorOf<float>::lanes) {
    Vector<float> scaled;
    __builtin_memcpy(&scaled, x + i, sizeof scaled);
    scaled = rounded(scaled * factor);
    scaled += 12582912.0f;  // 1.5 * 2^23: what is left of the fraction is rounded away, and the low
                            // bits are the integer
    const auto integers = reinterpret_cast<Vector<std::int32_t>>(scaled) - 0x4b400000;
    __builtin_memcpy(whole + i, &integers, sizeof integers);
  }
  for (index_t i = 0; i < kCount; ++i) out[i] = static_cast<Out>(whole[i] + offset);
}

// out = round(x * most / largest) + offset; returns what a unit of out means, largest / most.
template <class Out>
inline float row_to_integers(index_t n, const float* x, float most, std::int32_t offset, Out* out) {
  constexpr index_t kBlock = 64;
  constexpr float kNegligible = 1e-30f;  // below, most / largest could overflow
  std::uint32_t top =
      0;  // bits of positive floats are ordered as the floats are, with infinity and NaN above them
  for (index_t i = 0; i < n; ++i) {
    const std::uint32_t magnitude = bits_of(x[i]) & 0x7fffffffu;
    top = top < magnitude ? magnitude : top;
  }
  const float largest = float_of(top);
  if (top >= 0x7f800000u || largest < kNegligible) {
    for (index_t i = 0; i < n; ++i) out[i] = static_cast<Out>(offset);
    return top >= 0x7f800000u ? __builtin_nanf("") : 0.0f;
  }
  const float factor = most / largest;
  index_t i = 0;
  for (; i + kBlock <= n; i += kBlock) round_scaled<kBlock>(x + i, factor, offset, out + i);
  if (i < n) {
    float rest[kBlock] = {};
    Out last[kBlock];
    for (index_t j = 0; i + j < n; ++j) rest[j] = x[i + j];
    round_scaled<kBlock>(rest, factor, offset, last);
    for (index_t j = 0; i + j < n; ++j) out[i + j] = last[j];
  }
  return largest / most;
}

// Two's complement where offset is 0.
float row_to_int8(index_t n, const float* x, std::int32_t offset, std::uint8_t* out) {
  return row_to_integers(n, x, 127.0f, offset, out);
}

float row_to_int16(index_t n, const float* x, std::int16_t* out) {
  return row_to_integers(n, x, 32767.0f, 0, out);
}
