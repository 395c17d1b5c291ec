// Conversions of all bit patterns of bf16 and f16, and rounding against exact arithmetic in double.
#include "rae/core/dtype.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "rae/core/random.hpp"

namespace rae {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// The value of a bit pattern by the definition of the format, exact in double.
double value_of(std::uint16_t bits, int mantissa_bits, int bias) {
  const int exponent_bits = 15 - mantissa_bits;
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const int exponent = (bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const double sign = bits & 0x8000u ? -1.0 : 1.0;
  if (exponent == (1 << exponent_bits) - 1) return mantissa ? std::nan("") : sign * HUGE_VAL;
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
}

struct Bf16 {
  using Type = bf16;
  static constexpr int mantissa_bits = 7, bias = 127;
};
struct F16 {
  using Type = f16;
  static constexpr int mantissa_bits = 10, bias = 15;
};

template <class Format>
class SmallFloat : public testing::Test {
 public:
  static double value(std::uint16_t bits) {
    return value_of(bits, Format::mantissa_bits, Format::bias);
  }
  static constexpr std::uint16_t infinity = static_cast<std::uint16_t>(
      ((1 << (15 - Format::mantissa_bits)) - 1) << Format::mantissa_bits);
};
using Formats = testing::Types<Bf16, F16>;
TYPED_TEST_SUITE(SmallFloat, Formats);

template <class T>
T pattern(std::uint32_t bits) {
  T out;
  out.bits = static_cast<std::uint16_t>(bits);
  return out;
}

TYPED_TEST(SmallFloat, AllPatternsDecodeAndRoundTrip) {
  using T = typename TypeParam::Type;
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const double expected = TestFixture::value(half);
    const float decoded = static_cast<float>(pattern<T>(bits));
    const T again(decoded);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(decoded)) << bits;
      ASSERT_TRUE(std::isnan(static_cast<float>(again))) << bits;
      continue;
    }
    ASSERT_EQ(static_cast<double>(decoded), expected) << bits;
    ASSERT_EQ(std::signbit(decoded), std::signbit(expected)) << bits;
    ASSERT_EQ(again.bits, half) << bits;
  }
}

// Between every two adjacent patterns: just below their midpoint, the midpoint (which rounds to the
// even pattern) and just above. This includes all subnormal numbers, and the step from the largest
// finite pattern to infinity, which behaves like any other.
TYPED_TEST(SmallFloat, RoundsToNearestEvenBetweenAllNeighbours) {
  using T = typename TypeParam::Type;
  for (std::uint32_t low = 0; low < TestFixture::infinity; ++low) {
    const std::uint32_t high = low + 1;
    const double below = TestFixture::value(static_cast<std::uint16_t>(low));
    const double step = low == 0 ? TestFixture::value(1)
                                 : below - TestFixture::value(static_cast<std::uint16_t>(low - 1));
    const double above = high == TestFixture::infinity
                             ? below + step
                             : TestFixture::value(static_cast<std::uint16_t>(high));
    const auto middle = static_cast<float>(0.5 * (below + above));
    if (static_cast<double>(middle) != 0.5 * (below + above))
      continue;  // f32 has no midpoint here: the smallest subnormal numbers of bf16
    const std::uint32_t even = low % 2 == 0 ? low : high;
    for (const float sign : {1.0f, -1.0f}) {
      const std::uint32_t s = sign < 0 ? 0x8000u : 0u;
      ASSERT_EQ(T(sign * middle).bits, s | even) << low;
      ASSERT_EQ(T(sign * std::nextafter(middle, 0.0f)).bits, s | low) << low;
      ASSERT_EQ(T(sign * std::nextafter(middle, kInfinity)).bits, s | high) << low;
    }
  }
}

TYPED_TEST(SmallFloat, RandomValuesGoToTheNearerNeighbour) {
  using T = typename TypeParam::Type;
  const Philox random(11);
  for (std::uint64_t i = 0; i < 200000; ++i) {
    const auto x = std::bit_cast<float>(random.bits(i));
    if (!std::isfinite(x)) continue;
    const T rounded(x);
    const double exact = static_cast<double>(x);
    if ((rounded.bits & 0x7fffu) == TestFixture::infinity) {
      // Numbers at least half a step above the largest finite value round to infinity.
      const double largest =
          TestFixture::value(static_cast<std::uint16_t>(TestFixture::infinity - 1));
      const double step =
          largest - TestFixture::value(static_cast<std::uint16_t>(TestFixture::infinity - 2));
      ASSERT_GE(std::abs(exact), largest + 0.5 * step) << x;
      continue;
    }
    const double error = std::abs(TestFixture::value(rounded.bits) - exact);
    for (const int neighbour : {-1, 1}) {
      const int magnitude = (rounded.bits & 0x7fff) + neighbour;
      if (magnitude < 0 || magnitude >= TestFixture::infinity) continue;
      const auto other = static_cast<std::uint16_t>((rounded.bits & 0x8000) | magnitude);
      ASSERT_LE(error, std::abs(TestFixture::value(other) - exact)) << x;
    }
  }
}

TYPED_TEST(SmallFloat, SpecialValues) {
  using T = typename TypeParam::Type;
  EXPECT_EQ(T(0.0f).bits, 0u);
  EXPECT_EQ(T(-0.0f).bits, 0x8000u);
  EXPECT_EQ(T(kInfinity).bits, TestFixture::infinity);
  EXPECT_EQ(T(-kInfinity).bits, TestFixture::infinity | 0x8000u);
  EXPECT_EQ(T(std::numeric_limits<float>::max()).bits, TestFixture::infinity);
  // A NaN whose payload has only zeros in the upper bits must not become infinity; a signalling NaN
  // becomes quiet.
  for (const std::uint32_t bits :
       {0x7f800001u, 0x7fc00000u, 0xff800001u, 0x7f80ffffu, 0x7fffffffu, 0xffffffffu}) {
    const T nan(std::bit_cast<float>(bits));
    EXPECT_TRUE(std::isnan(static_cast<float>(nan))) << bits;
    EXPECT_EQ(nan.bits >> 15, bits >> 31) << bits;
  }
}

TEST(Bf16Rounding, SubnormalTiesBelowTheResolutionOfFloat) {
  EXPECT_EQ(bf16(std::numeric_limits<float>::denorm_min()).bits, 0u);
  EXPECT_EQ(bf16(std::bit_cast<float>(0x00008000u)).bits,
            0u);  // half of the smallest number rounds to 0
  EXPECT_EQ(bf16(std::bit_cast<float>(0x00008001u)).bits, 1u);
  EXPECT_EQ(bf16(std::bit_cast<float>(0x00018000u)).bits, 2u);
}

TEST(F16Rounding, OverflowAndUnderflowThresholds) {
  EXPECT_EQ(f16(65504.0f).bits, 0x7bffu);
  EXPECT_EQ(f16(std::nextafter(65520.0f, 0.0f)).bits, 0x7bffu);
  EXPECT_EQ(f16(65520.0f).bits, 0x7c00u);
  EXPECT_EQ(f16(0x1p-25f).bits, 0u);  // half of the smallest number rounds to 0
  EXPECT_EQ(f16(std::nextafter(0x1p-25f, 1.0f)).bits, 1u);
  EXPECT_EQ(f16(std::nextafter(0x1p-14f, 0.0f)).bits, 0x0400u);
}

TEST(SmallFloatConstexpr, ConvertsAtCompileTime) {
  static_assert(bf16(1.0f).bits == 0x3f80u);
  static_assert(f16(1.0f).bits == 0x3c00u);
  static_assert(static_cast<float>(f16(0.5f)) == 0.5f);
  static_assert(!std::is_convertible_v<float, bf16> && !std::is_convertible_v<f16, float>);
}

TEST(DType, TagsNamesAndSizesAgree) {
  EXPECT_EQ(dtype_of<double>(), DType::f64);
  EXPECT_EQ(dtype_of<float>(), DType::f32);
  EXPECT_EQ(dtype_of<bf16>(), DType::bf16);
  EXPECT_EQ(dtype_of<f16>(), DType::f16);
  EXPECT_EQ(dtype_of<std::int64_t>(), DType::int64);
  EXPECT_EQ(dtype_of<std::int32_t>(), DType::int32);
  EXPECT_EQ(dtype_of<std::uint8_t>(), DType::uint8);
  EXPECT_EQ(size_of(DType::f64), sizeof(double));
  EXPECT_EQ(size_of(DType::int64), sizeof(std::int64_t));
  EXPECT_EQ(size_of(DType::f32), sizeof(float));
  EXPECT_EQ(size_of(DType::int32), sizeof(std::int32_t));
  EXPECT_EQ(size_of(DType::bf16), sizeof(bf16));
  EXPECT_EQ(size_of(DType::f16), sizeof(f16));
  EXPECT_EQ(size_of(DType::int16), 2u);
  for (const DType one : {DType::int8, DType::uint8, DType::boolean}) EXPECT_EQ(size_of(one), 1u);
  EXPECT_EQ(name_of(DType::f64), "f64");
  EXPECT_EQ(name_of(DType::bf16), "bf16");
  EXPECT_EQ(name_of(DType::boolean), "bool");
}

TEST(DType, ParsesFloatNamesOnly) {
  for (const DType type : {DType::f32, DType::bf16, DType::f16, DType::f64})
    EXPECT_EQ(parse_float_dtype(name_of(type)), type);
  for (const char* bad : {"int32", "", "F32", "float", "f3"})
    EXPECT_THROW((void)parse_float_dtype(bad), ArgumentError) << bad;
}

}  // namespace
}  // namespace rae
