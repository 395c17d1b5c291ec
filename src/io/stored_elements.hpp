// Converts elements as files store them, little-endian and of any alignment, into tensors.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "deflate.hpp"
#include "rae/io/any_tensor.hpp"
#include "rae/io/safetensors.hpp"

namespace rae::detail {

/// True for the types that hold real numbers.
constexpr bool is_float(DType type) noexcept {
  return type == DType::f64 || type == DType::f32 || type == DType::bf16 || type == DType::f16;
}

/// Converts elements of type `From`, of any alignment, into `out`. Returns false when an integer
/// does not fit.
template <class From, class To>
bool copy_converted(std::span<const std::byte> bytes, To* out) {
  const std::size_t count = bytes.size() / sizeof(From);
  if constexpr (std::same_as<From, To>) {
    if (count > 0) std::memcpy(out, bytes.data(), bytes.size());
    return true;
  } else {
    for (std::size_t i = 0; i < count; ++i) {
      From value;
      std::memcpy(&value, bytes.data() + i * sizeof(From), sizeof(From));
      if constexpr (kIsFloatElement<To> && kIsFloatElement<From>) {
        // double -> f16 and double -> bf16 are rounded twice, through float; every other conversion
        // at most once.
        if constexpr (Real<From> && Real<To>)
          out[i] = static_cast<To>(value);
        else
          out[i] = static_cast<To>(static_cast<float>(value));
      } else {
        if (!std::in_range<To>(value)) return false;
        out[i] = static_cast<To>(value);
      }
    }
    return true;
  }
}

/// The same for a stored type that is known at run time.
template <class To>
bool copy_stored(DType stored, std::span<const std::byte> bytes, To* out) {
  if constexpr (kIsFloatElement<To>) {
    switch (stored) {
      case DType::f64: return copy_converted<double>(bytes, out);
      case DType::f32: return copy_converted<float>(bytes, out);
      case DType::bf16: return copy_converted<bf16>(bytes, out);
      default: return copy_converted<f16>(bytes, out);
    }
  } else {
    switch (stored) {
      case DType::int64: return copy_converted<std::int64_t>(bytes, out);
      case DType::int32: return copy_converted<std::int32_t>(bytes, out);
      case DType::int16: return copy_converted<std::int16_t>(bytes, out);
      case DType::int8: return copy_converted<std::int8_t>(bytes, out);
      default: return copy_converted<std::uint8_t>(bytes, out);
    }
  }
}

/// The tensor whose stored bytes `bytes()` returns. Throws FormatError, naming tensor and file,
/// when the types do not convert or a value does not fit.
template <Element T, class GetBytes>
Tensor<T> read_stored(std::string_view name, const std::string& origin, const TensorInfo& stored,
                      GetBytes bytes) {
  if (is_float(stored.dtype) != kIsFloatElement<T>)
    raise<FormatError>("tensor ", name, " in ", origin, ": cannot read ", name_of(stored.dtype),
                       " as ", name_of(dtype_of<T>()));
  Tensor<T> out(stored.shape);  // stored.shape
  if (!copy_stored(stored.dtype, bytes(), out.data()))
    raise<FormatError>("tensor ", name, " in ", origin, ": a value does not fit into ",
                       name_of(dtype_of<T>()));
  return out;
}

/// A checksum of 8 pieces of 512 bytes, spread from the first to the last byte; of all bytes if
/// there are fewer.
inline std::uint32_t sampled_checksum(std::span<const std::byte> bytes) {
  constexpr std::size_t kPieces = 8, kPiece = 512;
  if (bytes.size() <= kPieces * kPiece) return crc32_of(bytes);
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < kPieces; ++i)
    sum = crc32_of(bytes.subspan((bytes.size() - kPiece) * i / (kPieces - 1), kPiece), sum);
  return sum;
}

/// Throws ShapeError, naming tensor and file, unless the stored shape is `expected`.
inline void require_stored_shape(std::string_view name, const std::string& origin,
                                 const Shape& stored, const Shape& expected) {
  if (!(stored == expected))
    raise<ShapeError>("tensor ", name, " in ", origin, ": expected ", expected, ", file has ",
                      stored);
}

}  // namespace rae::detail
