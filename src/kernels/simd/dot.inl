// One step of k for each element type: the product that it adds to each lane of a sum. Included
// inside an anonymous namespace.
//
// A step takes one element of a, the same for all lanes, and one element of the panel in each lane.
// For f32 and f64 an element is a number. For narrow types it is a 32-bit word of neighbours along
// k, so that all types share one micro-kernel, one layout and one loop:
//
//            31           16 15            0
//   bf16    [    k = 1      |     k = 0     ]   sum f32 += a1 b1, then += a0 b0, both rounded to
//                                               nearest even
//   int8    [ k = 3 | k = 2 | k = 1 | k = 0 ]   sum s32 += a0 b0 + a1 b1 + a2 b2 + a3 b3, exact; a
//                                               unsigned, b signed
//
// Where the including file names an instruction for it (RAE_NATIVE_DOT_BF16, RAE_NATIVE_DOT_INT8,
// RAE_NATIVE_DOT_INT16 for pairs of 16-bit integers), a step is that one instruction. For an
// instruction that takes signed numbers only (RAE_DOT_INT8_IS_SIGNED), the +128 offset of a is
// removed first. Otherwise a step is kParts multiply-adds, of a half of the word each.
// - bf16: the halves are f32 numbers, whose product is exact, so that fused and unfused sums are
//   equal. They also equal vdpbf16ps, which by definition adds the upper pair first and rounds
//   twice; only numbers below 2^-126, which the instruction treats as zero, may differ.
// - int8: the halves are the even and the odd bytes, as 16-bit integers.

template <class T>
struct RealDot {
  using Word = T;
  using Sum = T;
  static constexpr int kParts = 1;
  static Vector<T> part_of_a(int, Vector<T> word) { return word; }
  static Vector<T> part_of_b(int, Vector<T> word) { return word; }
  static Vector<T> add(Vector<T> sum, Vector<T> a, Vector<T> b) { return sum + a * b; }
};

struct Bf16Dot {
  using Word = std::uint32_t;
  using Sum = float;
#if defined(RAE_NATIVE_DOT_BF16)
  static constexpr int kParts = 1;
  static Vector<Word> part_of_a(int, Vector<Word> word) { return word; }
  static Vector<Word> part_of_b(int, Vector<Word> word) { return word; }
  static Vector<float> add(Vector<float> sum, Vector<Word> a, Vector<Word> b) {
    return reinterpret_cast<Vector<float>>(
        RAE_NATIVE_DOT_BF16(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b)));
  }
#else
  static constexpr int kParts = 2;
  static Vector<float> part_of_a(int part, Vector<Word> word) {
    return reinterpret_cast<Vector<float>>(part == 0 ? word & 0xffff0000u : word << 16);
  }
  static Vector<float> part_of_b(int part, Vector<Word> word) { return part_of_a(part, word); }
  static Vector<float> add(Vector<float> sum, Vector<float> a, Vector<float> b) {
    return sum + a * b;
  }
#endif
};

// The same sums of a left operand whose halves are stored as two f32 numbers, in the order of the
// parts, so that only the panel is widened in registers.
struct Bf16WeightDot {
  using Word = std::uint32_t;
  using Sum = float;
  static constexpr int kParts = 2;
  static constexpr bool kStoresPartsOfA = true;
  static Vector<float> part_of_a(int, Vector<Word> word) {
    return reinterpret_cast<Vector<float>>(word);
  }
  static Vector<float> part_of_b(int part, Vector<Word> word) {
    return reinterpret_cast<Vector<float>>(part == 0 ? word & 0xffff0000u : word << 16);
  }
  static Vector<float> add(Vector<float> sum, Vector<float> a, Vector<float> b) {
    return sum + a * b;
  }
};

// sum + a0 b0 + a1 b1 in each lane, of 16-bit integers; exact.
inline Vector<std::int32_t> multiply_add_pairs(Vector<std::int32_t> sum, Vector<std::int16_t> a,
                                               Vector<std::int16_t> b) {
  using Sums = Vector<std::int32_t>;
#if defined(RAE_NATIVE_DOT_INT16)
  return reinterpret_cast<Sums>(RAE_NATIVE_DOT_INT16(reinterpret_cast<RAE_INTEGER_VECTOR>(sum),
                                                     reinterpret_cast<RAE_INTEGER_VECTOR>(a),
                                                     reinterpret_cast<RAE_INTEGER_VECTOR>(b)));
#elif defined(RAE_MULTIPLY_ADD_INT16)
  return sum +
         reinterpret_cast<Sums>(RAE_MULTIPLY_ADD_INT16(reinterpret_cast<RAE_INTEGER_VECTOR>(a),
                                                       reinterpret_cast<RAE_INTEGER_VECTOR>(b)));
#else
  const auto x = reinterpret_cast<Sums>(a), y = reinterpret_cast<Sums>(b);
  return sum + (x >> 16) * (y >> 16) + ((x << 16) >> 16) * ((y << 16) >> 16);
#endif
}

struct Int8Dot {
  using Word = std::uint32_t;
  using Sum = std::int32_t;
#if defined(RAE_DOT_INT8_IS_SIGNED)
  static constexpr bool kOffset = false;
#else
  static constexpr bool kOffset = true;  // a is stored with a +128 offset
#endif
#if defined(RAE_NATIVE_DOT_INT8)
  static constexpr int kParts = 1;
  static Vector<Word> part_of_a(int, Vector<Word> word) {
    return kOffset ? word : word ^ 0x80808080u;
  }
  static Vector<Word> part_of_b(int, Vector<Word> word) { return word; }
  static Vector<Sum> add(Vector<Sum> sum, Vector<Word> a, Vector<Word> b) {
    return reinterpret_cast<Vector<Sum>>(RAE_NATIVE_DOT_INT8(
        reinterpret_cast<RAE_INTEGER_VECTOR>(sum), reinterpret_cast<RAE_INTEGER_VECTOR>(a),
        reinterpret_cast<RAE_INTEGER_VECTOR>(b)));
  }
#else
  using Half = std::int16_t;
  static constexpr int kParts = 2;
  static Vector<Half> part_of_a(int part, Vector<Word> word) {
    return reinterpret_cast<Vector<Half>>((part == 0 ? word : word >> 8) & 0x00ff00ffu);
  }
  static Vector<Half> part_of_b(int part, Vector<Word> word) {
    return reinterpret_cast<Vector<Half>>(part == 0 ? word << 8 : word) >> 8;
  }
  static Vector<Sum> add(Vector<Sum> sum, Vector<Half> a, Vector<Half> b) {
    return multiply_add_pairs(sum, a, b);
  }
#endif
};
