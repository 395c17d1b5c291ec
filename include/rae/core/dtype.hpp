// Element types: the storage types bf16 and f16 with conversions that round to nearest even, and
// DType, the run-time tag of an element type.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "rae/error.hpp"

namespace rae {

namespace detail {

/// f32 -> bf16 bits, rounded to nearest even. NaN becomes a quiet NaN; infinities and signed zeros
/// are kept.
constexpr std::uint16_t float_to_bf16_bits(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x0040u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/// f32 -> IEEE binary16 bits, rounded to nearest even, with subnormal numbers and overflow to
/// infinity. NaN becomes a quiet NaN.
constexpr std::uint16_t float_to_f16_bits(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u);  // NaN
  if (magnitude >= 0x477ff000u)
    return static_cast<std::uint16_t>(sign | 0x7c00u);  // rounds to at least 65520: infinity
  if (magnitude < 0x38800000u) {  // below 2^-14: a subnormal result, a multiple of 2^-24
    if (magnitude < 0x33000000u) return sign;
    const std::uint32_t mantissa = (magnitude & 0x007fffffu) | 0x00800000u;
    const int shift = 126 - static_cast<int>(magnitude >> 23);
    const std::uint32_t half = 1u << (shift - 1);
    const std::uint32_t rounded = (mantissa + half - 1u + ((mantissa >> shift) & 1u)) >> shift;
    return static_cast<std::uint16_t>(sign | rounded);
  }
  const std::uint32_t rounded = magnitude + 0x0fffu + ((magnitude >> 13) & 1u);
  return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

/// IEEE binary16 bits -> f32, exact.
constexpr float f16_bits_to_float(std::uint16_t half) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  std::uint32_t exponent = (half >> 10) & 0x1fu;
  std::uint32_t mantissa = half & 0x3ffu;
  if (exponent == 0x1fu) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {
    if (mantissa == 0) return std::bit_cast<float>(sign);
    exponent = 113;
    while ((mantissa & 0x400u) == 0) {
      mantissa <<= 1;
      --exponent;
    }
    return std::bit_cast<float>(sign | (exponent << 23) | ((mantissa & 0x3ffu) << 13));
  }
  return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (mantissa << 13));
}

}  // namespace detail

/// Brain float: the upper 16 bits of an f32. A storage type; arithmetic is done in float.
struct bf16 {
  std::uint16_t bits = 0;
  constexpr bf16() = default;
  /// Rounds to nearest even.
  constexpr explicit bf16(float value) noexcept : bits(detail::float_to_bf16_bits(value)) {}
  /// The exact value.
  constexpr explicit operator float() const noexcept {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
  constexpr bool operator==(const bf16&) const = default;
};

/// IEEE binary16. A storage type; arithmetic is done in float.
struct f16 {
  std::uint16_t bits = 0;
  constexpr f16() = default;
  /// Rounds to nearest even.
  constexpr explicit f16(float value) noexcept : bits(detail::float_to_f16_bits(value)) {}
  /// The exact value.
  constexpr explicit operator float() const noexcept { return detail::f16_bits_to_float(bits); }
  constexpr bool operator==(const f16&) const = default;
};

/// Types that kernels compute with.
template <class T>
concept Real = std::same_as<T, float> || std::same_as<T, double>;

/// Types that a Tensor can hold.
template <class T>
concept Element = Real<T> || std::same_as<T, bf16> || std::same_as<T, f16> ||
    std::same_as<T, std::int64_t> || std::same_as<T, std::int32_t> || std::same_as<T, std::uint8_t>;

/// Run-time tag of an element type. The last two are for packed weights only: integers of 8 or 4
/// bits in groups, with one scale per group (see PackedMatrix).
enum class DType : std::uint8_t {
  f64,
  f32,
  bf16,
  f16,
  int64,
  int32,
  int16,
  int8,
  uint8,
  boolean,
  int8w,
  int4
};

/// Size of one element in bytes, rounded up.
constexpr std::size_t size_of(DType type) noexcept {
  switch (type) {
    case DType::f64:
    case DType::int64: return 8;
    case DType::f32:
    case DType::int32: return 4;
    case DType::bf16:
    case DType::f16:
    case DType::int16: return 2;
    default: return 1;
  }
}

/// The tag of a C++ element type.
template <Element T>
constexpr DType dtype_of() noexcept {
  if constexpr (std::same_as<T, double>) return DType::f64;
  if constexpr (std::same_as<T, float>) return DType::f32;
  if constexpr (std::same_as<T, bf16>) return DType::bf16;
  if constexpr (std::same_as<T, f16>) return DType::f16;
  if constexpr (std::same_as<T, std::int64_t>) return DType::int64;
  if constexpr (std::same_as<T, std::int32_t>) return DType::int32;
  return DType::uint8;
}

/// Lower-case name, as in messages and on the command line: "f32", "bf16", ...
constexpr std::string_view name_of(DType type) noexcept {
  constexpr std::string_view kNames[] = {"f64",   "f32",  "bf16",  "f16",  "int64", "int32",
                                         "int16", "int8", "uint8", "bool", "int8w", "int4"};
  return kNames[static_cast<std::size_t>(type)];
}

/// Parses "f32", "bf16", "f16", "f64". Throws ArgumentError for anything else.
inline DType parse_float_dtype(std::string_view name) {
  for (const DType type : {DType::f32, DType::bf16, DType::f16, DType::f64})
    if (name == name_of(type)) return type;
  raise<ArgumentError>("unknown dtype '", name, "': expected f32, bf16, f16 or f64");
}

}  // namespace rae
