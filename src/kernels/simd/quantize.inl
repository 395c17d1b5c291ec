// Conversion of rows of f32 to bf16 and quantization to integers. Included inside an anonymous
// namespace. All instruction sets give the same bits.

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

// bf16 in the high bits, rounded to nearest even as by rae::bf16. The conversion instructions of
// AVX512-BF16 would turn subnormal numbers into zero.
inline std::uint32_t bf16_in_high_bits(float x) {
  const std::uint32_t bits = bits_of(x);
  const std::uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  return (bits & 0x7fffffffu) > 0x7f800000u ? bits | 0x400000u : rounded;
}

void convert_row_to_bf16(index_t n, const float* x, std::uint16_t* out) {
  for (index_t i = 0; i < n; ++i)
    out[i] = static_cast<std::uint16_t>(bf16_in_high_bits(x[i]) >> 16);
}

// out (kCount) = round(x * factor) + zero_point, for magnitudes below 2^21; kCount is a multiple of
// the lanes.
template <index_t kCount, class Out>
inline void quantize_block(const float* x, float factor, std::int32_t zero_point, Out* out) {
  Array<std::int32_t, kCount> whole;
  for (index_t i = 0; i < kCount; i += VectorOf<float>::lanes) {
    Vector<float> scaled;
    __builtin_memcpy(&scaled, x + i, sizeof scaled);
    scaled = rounded(scaled * factor);
    scaled += 12582912.0f;  // 1.5 * 2^23: rounds to an integer, which
                            // is then in the low bits
    const auto integers = reinterpret_cast<Vector<std::int32_t>>(scaled) - 0x4b400000;
    __builtin_memcpy(whole + i, &integers, sizeof integers);
  }
  for (index_t i = 0; i < kCount; ++i) out[i] = static_cast<Out>(whole[i] + zero_point);
}

// out (n) = round(x * highest / largest |x|) + zero_point. Returns the scale, largest |x| /
// highest.
template <class Out>
inline float quantize_row(index_t n, const float* x, float highest, std::int32_t zero_point,
                          Out* out) {
  constexpr index_t kBlock = 64;
  constexpr float kNegligible = 1e-30f;  // below, highest / largest could overflow
  std::uint32_t top =
      0;  // bits of positive floats are ordered as the floats are, with infinity and NaN above them
  for (index_t i = 0; i < n; ++i) {
    const std::uint32_t magnitude = bits_of(x[i]) & 0x7fffffffu;
    top = top < magnitude ? magnitude : top;
  }
  const float largest = float_of(top);
  if (top >= 0x7f800000u || largest < kNegligible) {
    for (index_t i = 0; i < n; ++i) out[i] = static_cast<Out>(zero_point);
    return top >= 0x7f800000u ? __builtin_nanf("") : 0.0f;
  }
  const float factor = highest / largest;
  index_t i = 0;
  for (; i + kBlock <= n; i += kBlock) quantize_block<kBlock>(x + i, factor, zero_point, out + i);
  if (i < n) {
    float rest[kBlock] = {};
    Out last[kBlock];
    for (index_t j = 0; i + j < n; ++j) rest[j] = x[i + j];
    quantize_block<kBlock>(rest, factor, zero_point, last);
    for (index_t j = 0; i + j < n; ++j) out[i + j] = last[j];
  }
  return largest / highest;
}

// The output is two's complement where zero_point is 0.
float quantize_row_to_int8(index_t n, const float* x, std::int32_t highest, std::int32_t zero_point,
                           std::uint8_t* out) {
  return quantize_row(n, x, static_cast<float>(highest), zero_point, out);
}

float quantize_row_to_int16(index_t n, const float* x, std::int16_t* out) {
  return quantize_row(n, x, 32767.0f, 0, out);
}
